"""Two servers that share a Redis: whoever is connected to one uses what is at the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypha_rpc.rpc import RemoteException

from hypha.testing import (
    Direction,
    FaultProxy,
    RawCallError,
    RawClient,
    RawRefused,
    ServerProcess,
    eventually,
)
from hypha.testing.rawclient import pack
from tests.kit.clients import Connections, is_back
from tests.kit.people import Person, make_person
from tests.kit.redis import RedisServer, running_redis
from tests.kit.replicas import running_replicas

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    yield from running_redis("valkey")


@pytest.fixture(scope="module")
def servers(redis: RedisServer) -> Iterator[list[ServerProcess]]:
    yield from running_replicas(f"--redis-uri={redis.uri}")


@pytest.fixture
def person(servers: list[ServerProcess]) -> Person:
    return make_person(servers[0], "alice")


class Two:
    """Clients at either of the two servers."""

    def __init__(self, servers: list[ServerProcess]) -> None:
        self.servers = servers
        self._connections = Connections(servers[0])

    async def at(self, number: int, person: Person | None, **config: Any) -> Any:
        return await self._connections.connect(person, **{"url": self.servers[number].url, **config})

    async def close(self) -> None:
        await self._connections.close()


@pytest_asyncio.fixture(loop_scope="session")
async def two(servers: list[ServerProcess]) -> AsyncIterator[Two]:
    made = Two(servers)
    yield made
    await made.close()


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def call_back(function: Any, value: int) -> int:
    return int(await function(value)) + 1


def service(id: str = "echo", **config: Any) -> dict[str, Any]:
    return {
        "id": id,
        "name": id,
        "config": config,
        "hello": lambda value: value,
        "numbers": numbers,
        "call_back": call_back,
    }


async def sees(client: Any, id: str) -> None:
    """Wait until a client finds a service that was registered at the other server a moment ago."""

    async def is_seen() -> bool:
        return id in await ids_of(client)

    await eventually(is_seen, within_s=30)


async def ids_of(client: Any) -> list[str]:
    return [info["id"].partition("/")[2] for info in await client.list_services()]


@pytest.mark.spec("core-C1")
async def test_a_service_at_the_other_server_is_listed_got_and_called(two: Two, person: Person) -> None:
    a, b = await two.at(0, person, client_id="a"), await two.at(1, person, client_id="b")
    assert a.config.manager_id == b.config.manager_id
    await b.register_service(service())
    await sees(a, "b:echo")
    echo = await a.get_service("echo")
    assert await echo.hello({"x": [1, "y", b"z"]}) == {"x": [1, "y", b"z"]}
    assert await echo.call_back(lambda value: value * 2, 4) == 9
    assert [number async for number in await echo.numbers(4)] == [0, 1, 2, 3]
    other = await _registered(a, "other")
    await sees(b, "a:other")
    assert await (await b.get_service(other)).hello("back") == "back"


async def _registered(client: Any, id: str) -> str:
    return str((await client.register_service(service(id)))["id"])


async def test_large_arguments_and_results_cross(two: Two, person: Person) -> None:
    a, b = await two.at(0, person), await two.at(1, person, client_id="b")
    await b.register_service(service())
    await sees(a, "b:echo")
    echo = await a.get_service("echo")
    large = b"\x00\xff" * 1_500_000
    assert await echo.hello(large) == large


async def test_clients_at_both_servers_are_listed_and_pinged(two: Two, person: Person) -> None:
    a, b = await two.at(0, person, client_id="a"), await two.at(1, person, client_id="b")
    for client, other in ((a, "b"), (b, "a")):
        await sees(client, f"{other}:built-in")
        assert {one["id"].partition("/")[2] for one in await client.list_clients()} == {"a", "b"}
    assert await a.ping("b") == "pong" and await b.ping("a") == "pong"


@pytest.mark.spec("core-C1")
async def test_events_reach_clients_at_the_other_server(two: Two, person: Person) -> None:
    a, b = await two.at(0, person, client_id="a"), await two.at(1, person, client_id="b")
    heard: list[tuple[str, Any]] = []
    kinds = ["service_added", "service_removed", "client_disconnected", "client_connected", "custom"]
    await a.subscribe(kinds)
    for kind in kinds:
        a.on(kind, lambda event, kind=kind: heard.append((kind, event)))
    await b.register_service(service())
    await b.emit({"type": "custom", "to": "*", "data": {"x": 1}})
    await b.unregister_service("echo")
    await b.disconnect()
    await eventually(lambda: "client_disconnected" in dict(heard), within_s=20)
    assert [kind for kind, _ in heard] == [
        "service_added",
        "custom",
        "service_removed",
        "client_disconnected",
    ]
    assert await ids_of(a) == ["a:built-in"]


@pytest.mark.spec("core-C1")
async def test_a_service_is_called_by_http_at_the_other_server(two: Two, person: Person) -> None:
    b = await two.at(1, person, client_id="b")
    await b.register_service(service())
    await b.register_service(service("open", visibility="public"))
    base = f"{two.servers[0].url}/{person.workspace}/services"
    async with httpx.AsyncClient(timeout=20) as http:
        own = {"Authorization": f"Bearer {person.token}"}
        answer = await http.post(f"{base}/b:echo/hello", json={"value": "hi"}, headers=own)
        assert (answer.status_code, answer.json()) == (200, "hi")
        assert (await http.post(f"{base}/b:open/hello", json={"value": 1})).json() == 1
        refused = await http.post(f"{base}/b:echo/hello", json={"value": "hi"})
        assert refused.status_code in (401, 403)


async def test_a_protected_service_of_another_workspace_stays_closed_across_servers(
    two: Two, person: Person
) -> None:
    b = await two.at(1, person, client_id="b")
    await b.register_service(service())
    await b.register_service(service("open", visibility="public"))
    stranger = await two.at(0, make_person(two.servers[0], "mallory"))
    opened = await stranger.get_service(f"{person.workspace}/b:open")
    assert await opened.hello("hi") == "hi"
    with pytest.raises(RemoteException, match="Permission denied"):
        await stranger.get_service(f"{person.workspace}/b:echo")
    async with await RawClient.connect(
        two.servers[0].ws_url, token=make_person(two.servers[0], "eve").token
    ) as raw:
        with pytest.raises(RawCallError, match="Permission denied"):
            await raw.call(f"{person.workspace}/b", "services.echo.hello", "x")


@pytest.mark.spec("core-C3")
async def test_an_id_in_use_at_the_other_server_is_refused_and_its_client_keeps_its_services(
    two: Two, person: Person
) -> None:
    a, b = await two.at(0, person), await two.at(1, person, client_id="b")
    await b.register_service(service())
    await sees(a, "b:echo")
    with pytest.raises(Exception, match="already exists"):
        await two.at(0, person, client_id="b")
    assert await (await a.get_service("b:echo")).hello("hi") == "hi"


async def test_a_call_to_a_client_that_has_left_the_other_server_is_refused_at_once(
    two: Two, person: Person
) -> None:
    a, b = await two.at(0, person), await two.at(1, person, client_id="b")
    await b.register_service(service())
    await sees(a, "b:echo")
    echo = await a.get_service("echo")
    await b.disconnect()
    await eventually(lambda: _is_gone(a), within_s=20)
    with pytest.raises(RemoteException, match="not connected"):
        await asyncio.wait_for(echo.hello("hi"), 10)


async def _is_gone(client: Any) -> bool:
    return "b:echo" not in await ids_of(client)


@pytest.mark.spec("core-C2")
async def test_a_client_that_comes_back_to_the_other_server_keeps_all_and_nobody_notices(
    two: Two, person: Person
) -> None:
    a = await two.at(0, person, client_id="a")
    heard: list[str] = []
    kinds = ["client_disconnected", "service_removed", "service_added", "client_connected"]
    await a.subscribe(kinds)
    async with FaultProxy(two.servers[0].url) as balancer:
        b = await two.at(0, person, client_id="b", url=balancer.url)
        for kind in kinds:
            a.on(kind, lambda event, kind=kind: heard.append(kind))
        own: list[Any] = []
        await b.register_service({**service(), "slow": slow})
        await b.subscribe(["custom"])
        b.on("custom", own.append)
        await sees(a, "b:echo")
        echo = await a.get_service("echo")
        await eventually(lambda: "service_added" in heard, within_s=20)
        heard.clear()
        running = asyncio.ensure_future(echo.slow("late"))
        assert await echo.hello("hi") == "hi"
        balancer.forward_to(two.servers[1].url)
        balancer.cut_all()
        waiting = asyncio.ensure_future(echo.hello("meanwhile"))
        await eventually(lambda: is_back(b), within_s=60)
        (answer,) = await asyncio.gather(waiting, return_exceptions=True)
        assert answer == "meanwhile" or "may have run" in str(answer)  # if it was written to the lost link
        assert await running == "late"
        assert await echo.hello("after") == "after"
        other = await _registered(a, "other")
        await sees(b, "a:other")
        assert await (await b.get_service(other)).hello("back") == "back"
        await a.emit({"type": "custom", "to": "*", "data": 1})
        await eventually(lambda: bool(own), within_s=20)
        assert [kind for kind in heard if kind != "service_added"] == []


async def slow(value: str) -> str:
    await asyncio.sleep(3)
    return value


async def admin_at(server: ServerProcess) -> RawClient:
    return await RawClient.connect(server.ws_url, token=server.root_token)


async def call_admin(root: RawClient, function: str, *args: Any) -> Any:
    service = await root.call_manager("get_service", "ws-user-root/admin-utils")
    return await root.call(service[function]["_rtarget"], service[function]["_rmethod"], *args)


@pytest.mark.spec("core-C5")
async def test_an_administrator_at_one_server_blocks_and_kicks_out_clients_of_the_other(
    two: Two, person: Person
) -> None:
    there = two.servers[1].ws_url
    async with await admin_at(two.servers[0]) as root:
        assert len(await call_admin(root, "list_servers")) == 2
        worker = await RawClient.connect(there, client_id="worker", token=person.token)
        await call_admin(root, "kickout_client", person.workspace, "worker", 1000, "enough")
        assert await worker.wait_closed(20) == (1000, "enough")
        with pytest.raises(RawRefused, match="removed by an administrator"):
            token = worker.info["reconnection_token"]
            await RawClient.connect(there, client_id="worker", reconnection_token=token)
        again = await RawClient.connect(there, client_id="worker", token=person.token)
        await call_admin(root, "block_user", person.id, 3600, "spam")
        assert await again.wait_closed(20) == (1008, "User is blocked: spam")
        with pytest.raises(RawRefused, match="User is blocked: spam"):
            await RawClient.connect(there, token=person.token)
        await call_admin(root, "unblock_user", person.id)
        await eventually(lambda: _lets_in(there, person), within_s=20)


async def _lets_in(url: str, person: Person) -> bool:
    client = await RawClient.connect(url, token=person.token)
    await client.close()
    return True


async def test_a_token_that_is_revoked_at_one_server_ends_at_the_other(two: Two, person: Person) -> None:
    a = await two.at(0, person)
    token = await a.generate_token()
    holder = await RawClient.connect(two.servers[1].ws_url, token=token)
    await a.revoke_token(token)
    assert await holder.wait_closed(20) == (1008, "Token has been revoked")
    with pytest.raises(RawRefused, match="revoked"):
        await RawClient.connect(two.servers[1].ws_url, token=token)
    async with httpx.AsyncClient(timeout=20) as http:
        url = f"{two.servers[1].url}/{person.workspace}/services/ws/check_status"
        answer = await http.get(url, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401


async def test_a_workspace_lasts_as_long_as_somebody_is_in_it_anywhere(two: Two) -> None:
    """That of an anonymous user is in no database: the other server knows it by those who are in it."""
    a = await two.at(0, None, client_id="a")
    heard: list[str] = []
    await a.subscribe(["workspace_unloaded"])
    a.on("workspace_unloaded", heard.append)
    b = await two.at(1, None, client_id="b", token=await a.generate_token())
    assert b.config.workspace == a.config.workspace
    await a.register_service(service())
    await sees(b, "a:echo")
    assert await (await b.get_service("a:echo")).hello("hi") == "hi"
    await b.disconnect()
    c = await two.at(1, None, client_id="c", token=await a.generate_token())
    assert await (await c.get_service("a:echo")).hello("again") == "again"
    assert heard == []


@pytest.mark.slow
async def test_a_slow_reader_at_one_server_slows_its_sender_at_the_other_down(
    two: Two, person: Person
) -> None:
    """All that is on the way is bounded, and all of it arrives in order once the reader goes on."""
    payload, most = b"x" * 50_000, 1000
    async with FaultProxy(two.servers[1].url, buffer_bytes=64 * 1024) as proxy:
        reader = await RawClient.connect(proxy.ws_url, token=person.token, client_id="reader")
        await reader.offer("svc")
        writer = await RawClient.connect(two.servers[0].ws_url, token=person.token, client_id="writer")
        assert await writer.call("reader", "services.built-in.ping", "ping", timeout_s=20)
        for link in proxy.open_links:
            link.stall(Direction.DOWN)
        main = {"type": "method", "to": reader.address, "method": "services.svc.take"}
        sent = 0

        async def send_all() -> None:
            nonlocal sent
            for number in range(most):
                await writer.send_bytes(pack(main, {"args": [number, payload]}))
                sent += 1

        sending = asyncio.ensure_future(send_all())
        before = -1
        while before != sent:  # until it is not read any more
            before = sent
            await asyncio.sleep(1)
        assert sent < most, "a sender is slowed down"
        for link in proxy.open_links:
            link.heal()
        await asyncio.wait_for(sending, 60)
        for number in range(most):
            call = await asyncio.wait_for(reader.calls.get(), 60)
            assert call.extra["args"][0] == number
        await writer.close()
        await reader.close()


@pytest.mark.spec("core-C2")
async def test_what_a_client_had_at_one_server_it_has_at_the_other_before_it_asks_for_anything(
    two: Two, person: Person
) -> None:
    observers = [await two.at(number, person, client_id=f"o{number}") for number in (0, 1)]
    first = await RawClient.connect(two.servers[1].ws_url, token=person.token, client_id="moving")
    await first.offer("svc", {"hello": lambda: "hello"})
    await first.call_manager("subscribe", ["custom"])
    await eventually(lambda: _has_service(observers[0]), within_s=20)
    first.socket.transport.abort()
    async with await RawClient.connect(
        two.servers[0].ws_url, client_id="moving", reconnection_token=first.info["reconnection_token"]
    ) as moved:
        for observer in observers:
            assert await _has_service(observer)
        assert await moved.call_manager("echo", "hi") == "hi"
        await observers[1].emit({"type": "custom", "to": "*", "data": 1})
        await moved.wait_event("custom", timeout_s=20)
        for observer in observers:
            assert await _has_service(observer)


async def _has_service(client: Any) -> bool:
    return "moving:svc" in await ids_of(client)
