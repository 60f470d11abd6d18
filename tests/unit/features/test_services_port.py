"""What features call through their port, they call as the one on whose behalf they act."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from hypha.assembly.server import Server
from hypha.auth.scopes import Level, Scope
from hypha.auth.users import Context, User
from hypha.builtins.permission import permission
from hypha.builtins.service import BuiltinService
from hypha.errors import (
    AmbiguousService,
    FunctionNotFound,
    InvalidAddress,
    PermissionDenied,
    ServiceNotFound,
)
from hypha.features.ports import ServicesPort
from hypha.registry.applications import Applications
from hypha.settings import Settings

LAB = "ws-user-anna"


def acting(user_id: str, level: Level, workspace: str = LAB) -> Context:
    return Context(User(user_id, scope=Scope({workspace: level})), workspace)


ANNA, READER = acting("anna", Level.ADMIN), acting("rob", Level.READ)
STRANGER = acting("eve", Level.ADMIN, "elsewhere")


class Shelf:
    """What lies on a shelf of the lab."""

    @permission(Level.READ)
    async def look(self, *, context: Context) -> str:
        """Look at it."""
        return f"looked at by {context.user.id}"

    @permission(Level.ADMIN)
    async def clear(self, *, context: Context) -> None:
        """Clear it."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services() -> AsyncIterator[ServicesPort]:
    """The port of a feature; the lab has the service `shelf` of the server, and `bench` of a client."""
    server = Server(Settings(data_dir=":memory:"))
    await server.start()
    core = server.parts.core
    port = ServicesPort(core.offering, core.hub, server.parts.tenants.calling, Applications())
    port.offer(BuiltinService.of(Shelf(), id="shelf"), workspace=LAB, visibility="protected")
    client = await server.get_workspace_interface(ANNA.user, LAB, "c1")

    async def work(hours: int, context: Any = None) -> list[Any]:
        return [hours, context["user"]["id"], context["ws"]]

    config = {"require_context": True, "visibility": "protected"}
    await client.register_service({"id": "bench", "config": config, "work": work})
    await client.register_service({"id": "shelf", "config": config, "work": work})
    yield port
    await client.disconnect()
    await server.stop()


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_client_learns_in_whose_name_it_is_called(services: ServicesPort) -> None:
    assert await services.call("bench", "work", [3], context=ANNA) == [3, "anna", LAB]
    assert await services.call(f"{LAB}/c1:bench", "work", kwargs={"hours": 4}, context=READER) == [
        4,
        "rob",
        LAB,
    ]


async def test_a_function_of_the_server_checks_the_caller(services: ServicesPort) -> None:
    shelf = f"{LAB}/*:shelf"
    with pytest.raises(AmbiguousService):
        await services.call(shelf, "look", context=READER)
    assert await services.call(shelf, "look", context=READER, mode="first") == "looked at by rob"
    with pytest.raises(PermissionDenied):
        await services.call(shelf, "clear", context=READER, mode="first")
    await services.call(shelf, "clear", context=ANNA, mode="first")


@pytest.mark.parametrize("service", [f"{LAB}/bench", f"{LAB}/c1:bench", f"{LAB}/c1:shelf"])
async def test_what_the_caller_may_not_use_cannot_be_called_for_it(
    services: ServicesPort, service: str
) -> None:
    with pytest.raises(PermissionDenied):
        await services.call(service, "work", [1], context=STRANGER)


async def test_a_caller_whose_token_has_expired_calls_nothing(services: ServicesPort) -> None:
    late = replace(ANNA, user=ANNA.user.lapsed())
    with pytest.raises(PermissionDenied, match="expired"):
        await services.call("bench", "work", [1], context=late)


async def test_what_is_not_there_is_not_found(services: ServicesPort) -> None:
    with pytest.raises(ServiceNotFound):
        await services.call("no-such", "work", context=ANNA)
    with pytest.raises(FunctionNotFound):
        await services.call("shelf", "no_such", context=ANNA, mode="first")
    with pytest.raises(InvalidAddress):
        await services.call("a/b/c", "work", context=ANNA)
