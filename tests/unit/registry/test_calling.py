"""One way to call a service: what the server offers and what a client offers answer alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from hypha.addresses import ServiceQuery
from hypha.assembly.server import Server
from hypha.auth.scopes import Level, Scope
from hypha.auth.users import Context, User, anonymous_user
from hypha.builtins.permission import permission
from hypha.builtins.service import BuiltinService
from hypha.errors import (
    AmbiguousService,
    CallTimedOut,
    ForeignFunction,
    FunctionNotFound,
    HyphaError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    ServiceNotFound,
)
from hypha.gateways.http.errors import call_error_answer
from hypha.hub.local_connection import LocalConnection
from hypha.registry.calling import Calling
from hypha.registry.described import function_at
from hypha.registry.records import ServiceRecord
from hypha.server import create_application, get_argparser
from hypha.wire.bounded import MAX_PASSED_VALUES, MAX_VALUES

pytestmark = pytest.mark.asyncio(loop_scope="module")

LAB = "ws-user-anna"
ANNA = Context(User("anna", scope=Scope({LAB: Level.ADMIN})), LAB, connection_type="http")
NOBODY = anonymous_user()
STRANGER = Context(NOBODY, NOBODY.own_workspace, connection_type="http")
TIMEOUT_S = 30.0
AT_SERVER, AT_CLIENT = "at-server", "at-client"
BOTH = pytest.mark.parametrize("name", [AT_SERVER, AT_CLIENT])
ERRORS: Mapping[str, tuple[type[HyphaError], type[Exception]]] = {
    "missing": (NotFound, KeyError),
    "wrong": (InvalidRequest, ValueError),
    "forbidden": (PermissionDenied, PermissionError),
}
"""What code of the server raises, and what a client's does."""


class Words:
    """Works on words."""

    @permission(Level.READ)
    async def join(self, first: str, then: str = "!", *, context: Context) -> dict[str, Any]:
        """Join two words."""
        return {"joined": first + then, "user": context.user.id, "in": context.workspace}

    @permission(Level.READ)
    async def count(self, to: int, *, context: Context) -> AsyncIterator[int]:
        """Count to a number."""
        return _numbers(to)

    @permission(Level.READ)
    async def fail(self, how: str, *, context: Context) -> None:
        """Fail."""
        raise ERRORS[how][0](f"{how} it is")

    @permission(Level.READ)
    async def serve(self, request: dict[str, Any], *, context: Context) -> str:
        """Call back what came with the call."""
        return await _serve(request)

    @permission(Level.READ)
    async def forge(self, target: str, *, context: Context) -> dict[str, Any]:
        """Answer with a function of somebody else."""
        return _forged(target)

    @permission(Level.NONE, on="nothing", takes_bytes=10)
    async def index(self, event: dict[str, Any], *, context: Context) -> str:
        """A page."""
        return "hello"


async def _numbers(to: int) -> AsyncIterator[int]:
    for number in range(to):
        yield number


async def _serve(request: dict[str, Any]) -> str:
    await request["send"]({"told": await request["receive"]()})
    return str(request["path"])


def _forged(target: str) -> dict[str, Any]:
    return {"_rtype": "generator", "_rserver": "x", "_rtarget": target, "_rmethod": "services.x.y"}


def words_of_client(name: str) -> dict[str, Any]:
    """The same service for the client library."""

    async def join(first: str, then: str = "!", context: Any = None) -> dict[str, Any]:
        return {"joined": first + then, "user": context["user"]["id"], "in": context["ws"]}

    async def count(to: int, context: Any = None) -> AsyncIterator[int]:
        return _numbers(to)

    async def fail(how: str, context: Any = None) -> None:
        raise ERRORS[how][1](f"{how} it is")

    async def serve(request: dict[str, Any], context: Any = None) -> str:
        return await _serve(request)

    async def forge(target: str, context: Any = None) -> dict[str, Any]:
        return _forged(target)

    async def index(event: dict[str, Any], context: Any = None) -> str:
        return "hello"

    functions = {"join": join, "count": count, "fail": fail, "serve": serve, "forge": forge, "index": index}
    return {"id": name, "name": name, "config": {"require_context": True}, **functions}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Server]:
    """A server and a client of it, which offer the same service under two names, and `twin` both."""
    server = create_application(get_argparser().parse_args(["--data-dir", ":memory:"])).server
    await server.start()
    for name in (AT_SERVER, "twin"):
        service = BuiltinService.of(Words(), id=name)
        server.parts.core.offering.offer(service, workspace=LAB, visibility="protected")
    client = await server.get_workspace_interface(ANNA.user, LAB, "c1")
    for name in (AT_CLIENT, "twin"):
        await client.register_service(words_of_client(name))
    yield server
    await client.disconnect()
    await server.stop()


@pytest.fixture
def calling(server: Server) -> Calling:
    return server.parts.tenants.calling


async def found(calling: Calling, name: str, context: Context = ANNA) -> ServiceRecord:
    return await calling.find(ServiceQuery.parse(name, LAB), context)


async def call(calling: Calling, name: str, function: str, *args: Any, **kwargs: Any) -> Any:
    return await calling.call(await found(calling, name), function, args, kwargs, ANNA, TIMEOUT_S)


@BOTH
async def test_functions_get_arguments_and_learn_who_calls(calling: Calling, name: str) -> None:
    expected = {"joined": "ab", "user": "anna", "in": LAB}
    assert await call(calling, name, "join", "a", "b") == expected
    assert await call(calling, name, "join", "a", then="b") == expected
    assert (await call(calling, name, "join", first="a"))["joined"] == "a!"


@BOTH
async def test_a_caller_who_may_not_use_a_service_finds_none(calling: Calling, name: str) -> None:
    with pytest.raises(PermissionDenied):
        await found(calling, name, STRANGER)


async def test_what_is_not_there_or_not_one_is_not_found(calling: Calling) -> None:
    with pytest.raises(ServiceNotFound):
        await found(calling, "nowhere")
    with pytest.raises(AmbiguousService):
        await found(calling, "twin")


@BOTH
async def test_a_function_that_is_not_there_is_not_found(calling: Calling, name: str) -> None:
    record = await found(calling, name)
    for path in (["nope"], ["join", "nope"], ["_rtype"]):
        with pytest.raises(FunctionNotFound, match=r"not found\."):
            await calling.look_up(record, path, ANNA, TIMEOUT_S)


@BOTH
@pytest.mark.parametrize(("how", "status"), [("missing", 404), ("wrong", 400), ("forbidden", 403)])
async def test_what_a_function_raises_is_told_alike(
    calling: Calling, name: str, how: str, status: int
) -> None:
    with pytest.raises(HyphaError, match=f"{how} it is") as caught:
        await call(calling, name, "fail", how)
    assert call_error_answer(caught.value, {"type": "http", "headers": []}).status == status


@BOTH
async def test_arguments_that_do_not_fit_are_the_callers_mistake(calling: Calling, name: str) -> None:
    for args in ((), ("a", "b", "c")):
        with pytest.raises(HyphaError) as caught:
            await call(calling, name, "join", *args)
        assert call_error_answer(caught.value, {"type": "http", "headers": []}).status == 400


@BOTH
async def test_generators_are_followed(calling: Calling, name: str) -> None:
    record = await found(calling, name)
    items = calling.items(record, await call(calling, name, "count", 3), ANNA, TIMEOUT_S)
    assert items is not None
    assert [item async for item in items] == [0, 1, 2]
    assert calling.items(record, await call(calling, name, "join", "a"), ANNA, TIMEOUT_S) is None


@BOTH
async def test_functions_may_be_called_back_during_a_call(calling: Calling, name: str) -> None:
    told: list[Any] = []

    async def receive() -> str:
        return "a part"

    async def send(event: Any) -> None:
        told.append(event)

    record, functions = await found(calling, name), {"receive": receive, "send": send}
    result = await calling.call_with(record, "serve", {"path": "/x"}, functions, ANNA, TIMEOUT_S)
    assert (result, told) == ("/x", [{"told": "a part"}])


@pytest.mark.parametrize("odd", [{"__proto__": 1}, {"a": [{b"k": 1}]}, {None: 1}], ids=str)
async def test_the_server_sends_a_client_nothing_that_it_may_be_unable_to_read(
    calling: Calling, odd: dict[Any, Any]
) -> None:
    record = await found(calling, AT_CLIENT)
    with pytest.raises(InvalidRequest, match="a map has "):
        await calling.call_as_server(record, "join", ["a", odd], ANNA, TIMEOUT_S)
    assert (await calling.call_as_server(record, "join", ["a", "b"], ANNA, TIMEOUT_S))["joined"] == "ab"


async def test_nobody_is_led_on_to_functions_of_others(server: Server, calling: Calling) -> None:
    victim = f"{LAB}/victim"
    with pytest.raises(ForeignFunction):
        await call(calling, AT_CLIENT, "forge", victim)
    kept = await call(calling, AT_SERVER, "forge", victim)  # somebody's data, such as a task in a queue
    assert calling.items(await found(calling, AT_SERVER), kept, ANNA, TIMEOUT_S) is None


async def test_a_client_that_says_nothing_is_given_up(server: Server, calling: Calling) -> None:
    mute = LocalConnection.open(server.parts.core.hub, LAB, "mute", ANNA.user, {})
    record = ServiceRecord(LAB, "mute", "words")
    with pytest.raises(CallTimedOut):
        await calling.call(record, "join", ["a"], {}, ANNA, 0.05)
    with pytest.raises(CallTimedOut):
        await calling.fetch(record, 0.05)
    await mute.disconnect()
    with pytest.raises(ServiceNotFound, match="is not connected"):
        await calling.fetch(record, TIMEOUT_S)


@BOTH
async def test_a_service_is_described_and_handed_over(calling: Calling, name: str) -> None:
    record = await found(calling, name)
    names = {"join", "count", "fail", "serve", "forge", "index"}
    assert {function.path for function in calling.describe(record.to_info(ANNA))()} == names
    service = await calling.fetch(record, TIMEOUT_S)
    assert {key for key, value in service.items() if "_rmethod" in (value or ())} == names
    assert service["join"]["_rmethod"] == f"services.{name}.join"


async def test_what_is_passed_on_is_not_bounded_like_what_is_kept(calling: Calling) -> None:
    kept, passed = await found(calling, AT_SERVER), await found(calling, AT_CLIENT)
    assert calling.intake(passed, "index", STRANGER).max_values == MAX_PASSED_VALUES
    assert calling.intake(passed, "index", STRANGER).is_passed_on
    assert calling.intake(kept, "index", ANNA).max_values == MAX_VALUES
    assert calling.intake(kept, "index", ANNA).max_bytes is None
    assert calling.intake(kept, "index", STRANGER).max_bytes == 10
    assert not calling.intake(kept, "index", STRANGER).is_passed_on


async def test_only_functions_that_take_an_event_are_pages_of_the_server(calling: Calling) -> None:
    record = await found(calling, AT_SERVER)
    assert list(await calling.pages(record, ANNA, TIMEOUT_S)) == ["index"]
    there = await calling.pages(await found(calling, AT_CLIENT), ANNA, TIMEOUT_S)
    assert {"index", "join"} <= set(there)


@pytest.mark.parametrize("path", ["f.__globals__.exit", "__class__", "a.b.__self__"])
async def test_what_a_language_keeps_beside_a_function_is_none_where_nothing_was_registered(
    path: str,
) -> None:
    assert function_at({}, path.split(".")) is None
    assert function_at({}, ["f", "_private", "a__b"]) is not None
