"""Replicas that die, and a Redis that goes away: callers are told, and what lives is found again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess, eventually
from tests.kit.clients import Connections
from tests.kit.people import Person, make_person
from tests.kit.redis import RedisServer, running_redis
from tests.kit.replicas import running_replicas

pytestmark = pytest.mark.timeout(180)
WITHIN_S = 60.0
"""Generous, for the machine may be busy; what is told at once must not wait for the caller's own timeout."""
PATIENCE_S = 90.0


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    yield from running_redis("valkey")


@pytest.fixture
def servers(redis: RedisServer) -> Iterator[list[ServerProcess]]:
    yield from running_replicas(f"--redis-uri={redis.uri}")


@pytest_asyncio.fixture(loop_scope="session")
async def clients(servers: list[ServerProcess]) -> AsyncIterator[Connections]:
    made = Connections(servers[0])
    yield made
    await made.close()


@pytest.fixture
def person(servers: list[ServerProcess]) -> Person:
    return make_person(servers[0], "alice")


async def forever() -> None:
    await asyncio.sleep(10_000)


def service() -> dict[str, Any]:
    return {"id": "echo", "hello": lambda value: value, "forever": forever}


async def ids_of(client: Any) -> list[str]:
    return [info["id"].partition("/")[2] for info in await client.list_services()]


async def is_ready(server: ServerProcess) -> bool:
    async with httpx.AsyncClient(timeout=20) as http:
        return (await http.get(f"{server.url}/health/readiness")).status_code == 200


@pytest.mark.spec("core-C4")
async def test_callers_of_clients_of_a_killed_server_are_told_and_its_entries_go(
    servers: list[ServerProcess], clients: Connections, person: Person
) -> None:
    a = await clients.connect(person, client_id="a", method_timeout=PATIENCE_S)
    b = await clients.connect(person, client_id="b", url=servers[1].url)
    await b.register_service(service())
    heard: list[str] = []
    await a.subscribe(["client_disconnected", "service_removed"])
    for kind in ("client_disconnected", "service_removed"):
        a.on(kind, lambda event, kind=kind: heard.append(kind))
    await eventually(lambda: _lists_all(a, {"a:built-in", "b:built-in", "b:echo"}), within_s=WITHIN_S)
    echo = await a.get_service("echo")
    running = asyncio.ensure_future(echo.forever())
    assert await echo.hello("hi") == "hi"
    servers[1].kill()
    with pytest.raises(Exception, match="may have run"):
        await asyncio.wait_for(running, WITHIN_S)
    await eventually(lambda: _lists(a, ["a:built-in"]), within_s=WITHIN_S)
    assert heard == ["service_removed", "client_disconnected"]
    with pytest.raises(Exception, match="not connected"):
        await asyncio.wait_for(echo.hello("hi"), WITHIN_S)


async def _lists(client: Any, wanted: list[str]) -> bool:
    return await ids_of(client) == wanted


@pytest.mark.slow
@pytest.mark.spec("core-C7")
async def test_while_redis_is_gone_local_calls_go_on_and_all_is_rebuilt_when_it_is_back_empty(
    redis: RedisServer, servers: list[ServerProcess], clients: Connections, person: Person
) -> None:
    a = await clients.connect(person, client_id="a", method_timeout=PATIENCE_S)
    near = await clients.connect(person, client_id="near")
    b = await clients.connect(person, client_id="b", url=servers[1].url)
    for client in (near, b):
        await client.register_service(service())
    await eventually(lambda: _has(a, "b:echo"), within_s=WITHIN_S)
    local, remote = await a.get_service("near:echo"), await a.get_service("b:echo")
    running = asyncio.ensure_future(remote.forever())
    assert await remote.hello("hi") == "hi"
    redis.kill()
    with pytest.raises(Exception, match="may have run"):
        await asyncio.wait_for(running, WITHIN_S)
    await eventually(lambda: _is_not_ready(servers[0]), within_s=WITHIN_S)
    assert await local.hello("hi") == "hi"
    with pytest.raises(Exception, match="not connected"):
        await asyncio.wait_for(remote.hello("hi"), WITHIN_S)
    redis.start()
    for server in servers:
        await eventually(lambda server=server: is_ready(server), within_s=WITHIN_S)
    wanted = {"a:built-in", "near:built-in", "near:echo", "b:built-in", "b:echo"}
    for client in (a, b):
        await eventually(lambda client=client: _lists_all(client, wanted), within_s=WITHIN_S)
    again = await a.get_service("b:echo")
    assert await again.hello("hi") == "hi" and await local.hello("hi") == "hi"


async def _is_not_ready(server: ServerProcess) -> bool:
    return not await is_ready(server)


async def _lists_all(client: Any, wanted: set[str]) -> bool:
    return set(await ids_of(client)) == wanted


@pytest.mark.slow
@pytest.mark.spec("core-C4")
async def test_a_frozen_server_is_taken_for_gone_and_is_one_of_them_again_when_it_wakes(
    servers: list[ServerProcess], clients: Connections, person: Person
) -> None:
    a = await clients.connect(person, client_id="a")
    b = await clients.connect(person, client_id="b", url=servers[1].url)
    await b.register_service(service())
    await eventually(lambda: _has(a, "b:echo"), within_s=WITHIN_S)
    assert await (await a.get_service("echo")).hello("hi") == "hi"
    servers[1].freeze()
    try:
        await eventually(lambda: _lists(a, ["a:built-in"]), within_s=WITHIN_S)
    finally:
        servers[1].thaw()
    await eventually(lambda: _lists_all(a, {"a:built-in", "b:built-in", "b:echo"}), within_s=WITHIN_S)
    await eventually(lambda: _answers(a), within_s=WITHIN_S)


async def _answers(client: Any) -> bool:
    return bool(await (await client.get_service("echo")).hello("hi") == "hi")


async def _has(client: Any, id: str) -> bool:
    return id in await ids_of(client)
