"""Presence and bus over Redis: what it costs, and what becomes of them when Redis goes and comes back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio

from hypha.bus.base import Target
from hypha.bus.redis import RedisBus
from hypha.errors import BackendUnavailable, ConfigurationError, LeaseLost
from hypha.presence.entries import ClientEntry, Entered, Limits, Offered, Room, ServiceEntry, Wanted
from hypha.presence.redis import RedisPresence
from hypha.redis.link import RedisLink, read_uri
from hypha.testing import eventually
from tests.kit.deployments import Listener
from tests.kit.redis import RedisServer, running_redis
from tests.kit.redis_deployment import RedisDeployment

LAB = "lab"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One of this module's own, to be killed."""
    yield from running_redis("valkey")


@pytest_asyncio.fixture
async def deployment(server: RedisServer) -> AsyncIterator[RedisDeployment]:
    made = await RedisDeployment(server).begin()
    try:
        yield made
    finally:
        await made.close()


async def until(is_so: Callable[[], bool]) -> None:
    await eventually(is_so, within_s=30, interval_s=0.005)


async def entered(at: RedisPresence, client_id: str = "c") -> ClientEntry:
    result = await at.enter(ClientEntry(LAB, client_id, "alice"))
    assert isinstance(result, Entered)
    return result.client


# -- what it costs


async def test_each_registration_and_lookup_is_one_round_trip(deployment: RedisDeployment) -> None:
    a = await deployment.presence("a")
    await a.watch(LAB)
    before = a.link.trips
    client = await entered(a)
    for number in range(20):
        limits = Limits(Room(100, 10_000), Room(100, 10_000))
        service = ServiceEntry(LAB, "c", f"s{number}", client.generation, is_singleton=True, is_public=True)
        assert isinstance(await a.offer(service, limits), Offered)
    assert len(await a.services(Wanted(LAB))) == 20
    assert await a.client(LAB, "c") == client
    await a.renew()
    assert a.link.trips - before == 1 + 20 + 3


async def test_what_one_turn_asks_goes_in_one_trip(deployment: RedisDeployment) -> None:
    a = await deployment.presence("a")
    before = a.link.trips
    await asyncio.gather(*(entered(a, f"c{number}") for number in range(100)))
    assert a.link.trips - before == 1


async def test_the_frames_of_one_turn_go_in_one_trip(deployment: RedisDeployment) -> None:
    at_b = Listener("b", {(LAB, "c"): 7})
    a, b = await deployment.bus(Listener("a")), await deployment.bus(at_b)
    before = a.link.trips
    for number in range(200):
        a.send(Target(b.replica, LAB, "c", 7), b"%d" % number)
    await until(lambda: len(at_b.log) == 200)
    assert a.link.trips - before == 1


async def test_nothing_is_left_of_clients_that_have_gone(deployment: RedisDeployment) -> None:
    a, b = await deployment.presence("a"), await deployment.presence("b")
    bus = await deployment.bus(Listener("a"))
    await bus.listen(LAB)
    await b.watch(LAB)
    for number in range(30):
        client = await entered(a, f"c{number}")
        await a.offer(ServiceEntry(LAB, client.client_id, "s", client.generation, is_public=True))
        a.leave(LAB, client.client_id, client.generation)
    await a.flush()
    await deployment.settle()
    for member in (a, b, bus):
        await member.close()
    left = await deployment.keys()
    assert left == ["hypha:number"]


# -- when Redis is gone


async def test_while_redis_is_gone_all_is_refused_and_nothing_waits(
    server: RedisServer, deployment: RedisDeployment
) -> None:
    a, listener = await deployment.presence("a"), Listener("a")
    bus = await deployment.bus(listener)
    server.kill()
    try:
        await until(lambda: not a.link.is_up and not bus.link.is_up)
        with pytest.raises(BackendUnavailable, match="cannot be reached"):
            await a.client(LAB, "c")
        with pytest.raises(BackendUnavailable):
            await a.enter(ClientEntry(LAB, "c", "alice"))
        bus.send(Target("b", LAB, "c", 1), b"frame", b"who asked")
        await until(lambda: ("refused", "c", b"who asked") in listener.log)
    finally:
        server.start()
    await until(lambda: a.link.is_up)
    with pytest.raises(LeaseLost):  # it came back empty
        await a.renew()
    await a.open()
    client = await entered(a)
    assert await a.client(LAB, "c") == client


async def test_generations_grow_though_redis_was_emptied(deployment: RedisDeployment) -> None:
    a = await deployment.presence("a")
    before = await entered(a)
    await deployment.begin()
    await a.open()
    assert (await entered(a)).generation > before.generation


async def test_redis_that_does_not_answer_counts_as_gone(
    server: RedisServer, deployment: RedisDeployment
) -> None:
    a = await deployment.presence("a")
    client = await entered(a)
    server.freeze()
    try:
        with pytest.raises(BackendUnavailable):
            await a.renew()
        a.leave(LAB, "c", client.generation)
    finally:
        server.thaw()
    await until(lambda: a.link.is_up)
    await a.flush()
    assert await a.client(LAB, "c") is None, "what was posted meanwhile was done"


async def test_a_bus_whose_stream_is_gone_is_reached_again_and_says_that_something_is_lost(
    deployment: RedisDeployment,
) -> None:
    at_a, at_b = Listener("a"), Listener("b", {(LAB, "c"): 7})
    a, b = await deployment.bus(at_a), await deployment.bus(at_b)
    await b.listen(LAB)
    await deployment.begin()
    await until(lambda: ("broken", "b") in at_a.log)
    a.send(Target("b", LAB, "c", 7), b"frame")
    a.publish(LAB, "kind", b"event")
    await until(lambda: ("frame", "c", b"frame") in at_b.log and ("event", LAB, "kind", b"event") in at_b.log)


async def test_who_sent_something_when_its_link_broke_is_told_that_it_is_open(
    deployment: RedisDeployment,
) -> None:
    at_a = Listener("a")
    a = await deployment.bus(at_a)
    await deployment.bus(Listener("b", {(LAB, "c"): 7}))
    a.send(Target("b", LAB, "c", 7), b"frame")
    await deployment.lose("a", "b")
    assert at_a.log == [("broken", "b")]


async def test_scripts_that_redis_has_forgotten_are_given_to_it_anew(deployment: RedisDeployment) -> None:
    a = await deployment.presence("a")
    await deployment.ask("SCRIPT", "FLUSH")
    with pytest.raises(BackendUnavailable):
        await a.renew()
    await until(lambda: a.link.is_up)
    await a.renew()


# -- how it is reached


async def test_a_wrong_password_is_refused_without_being_told(server: RedisServer) -> None:
    uri = f"redis://:not-the-password@127.0.0.1:{server.port}/0"
    with pytest.raises(BackendUnavailable) as refused:
        await RedisLink(read_uri(uri), "Test").open()
    assert "not-the-password" not in str(refused.value)


def test_an_address_that_cannot_be_read_is_refused_without_being_told() -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_uri("redis://:secret@host:port/0")
    assert "secret" not in str(refused.value)


def test_a_server_without_redis_imports_nothing_of_it() -> None:
    code = "import sys, hypha.server; assert not {'redis', 'hypha.redis'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_implementations_close_what_they_opened(server: RedisServer) -> None:
    async def main() -> None:
        for _ in range(3):
            presence = RedisPresence(read_uri(server.uri), "a")
            bus = RedisBus(read_uri(server.uri), "a", Listener("a"))
            await presence.open()
            await bus.open()
            await presence.close()
            await bus.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
