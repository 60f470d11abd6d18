"""The queues as they are plugged into a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hypha.assembly.server import Server
from hypha.auth.scopes import Level
from hypha.auth.users import Context, anonymous_user, root_user
from hypha.builtins.service import BuiltinService
from hypha.hub.local_connection import LocalConnection
from hypha.server import create_application, get_argparser


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    application = create_application(get_argparser().parse_args(["--data-dir", ":memory:"]))
    await application.server.start()
    yield application.server
    await application.server.stop()


def queue_of(server: Server) -> BuiltinService:
    record = server.parts.core.registry.get("public", server.server_id, "queue")
    assert record is not None
    assert record.service is not None
    return record.service


async def call(server: Server, function: str, *arguments: Any, context: Context) -> Any:
    return await queue_of(server).functions[function].call(*arguments, context=context)


async def test_a_consumer_waits_no_longer_than_its_workspace_lives(server: Server) -> None:
    root = Context(root_user(), "ws-user-root")
    await server.parts.tenants.tenancy.catalogue.create({"id": "the-lab"}, root)
    inside = Context(root_user("the-lab"), "the-lab", connection_type="http")
    await call(server, "push", "jobs", 1, context=inside)
    assert await call(server, "pop", "jobs", 30, context=inside) == 1
    waiting = asyncio.create_task(call(server, "pop", "jobs", 30, context=inside))
    await asyncio.sleep(0)  # its first step
    await server.parts.tenants.tenancy.catalogue.delete("the-lab", root)
    assert await asyncio.wait_for(waiting, 5) is None


async def test_tasks_of_a_temporary_workspace_go_with_it(server: Server) -> None:
    guest, workspaces = anonymous_user(), server.parts.tenants.workspaces
    workspaces.open_new(guest)
    workspaces.client_joined(guest.own_workspace)
    await call(server, "push", "jobs", 1, context=Context(guest, guest.own_workspace, "c1"))
    assert await server.parts.core.store.workspaces.get(guest.own_workspace) is not None
    workspaces.client_left(guest.own_workspace)
    assert await workspaces.unload(guest.own_workspace)
    assert await server.parts.core.store.workspaces.get(guest.own_workspace) is None


async def test_a_consumer_waits_no_longer_than_its_client_lives(server: Server) -> None:
    user = root_user("public").within("public", "consumer", Level.ADMIN)
    link = LocalConnection.open(server.parts.core.hub, "public", "consumer", user, {})
    server.parts.tenants.members.joined(link.client, restore=False)
    waiting = asyncio.create_task(call(server, "pop", "jobs", 30, context=link.client.context))
    await asyncio.sleep(0)  # its first step
    server.parts.core.hub.end(link.client, "goodbye")
    assert await asyncio.wait_for(waiting, 5) is None
