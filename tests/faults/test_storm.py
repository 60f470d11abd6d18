"""Promise: a storm of reconnects is over soon and hurts nobody who stayed."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import psutil
import pytest

from hypha.testing import CrowdClient, FaultProxy, ServerProcess, eventually
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person, make_person

PEOPLE = 20


def hello() -> str:
    return "hello"


class Storm:
    """Wire-level clients and real ones who are all cut off at once, and pairs who stay and call on."""

    def __init__(self, own: ServerProcess, proxy: FaultProxy, seed: int) -> None:
        self.own = own
        self.proxy = proxy
        self.chance = random.Random(seed)
        self.people = [make_person(own, f"storm-{number}") for number in range(PEOPLE)]
        self.crowd: list[CrowdClient] = []
        self.real: list[Any] = []
        self.slowest_s = 0.0
        self._gate = asyncio.Semaphore(50)

    def _token(self, number: int) -> str:
        return self.people[number % PEOPLE].token

    async def join(self, number: int) -> None:
        """Add one wire-level client."""
        async with self._gate:
            client = await CrowdClient.connect(
                self.own.ws_url, client_id=f"crowd-{number}", token=self._token(number)
            )
            await client.offer("svc", {"hello": hello})
            self.crowd.append(client)

    async def join_really(self, connect: Connect, number: int) -> None:
        """Add one client of the library, behind the proxy."""
        person: Person = self.people[number % PEOPLE]
        client = await connect(person, url=self.proxy.url, client_id=f"real-{number}")
        await client.register_service({"id": "svc", "hello": hello})
        self.real.append(client)

    async def keep_calling(self, caller: CrowdClient, callee: str) -> None:
        """Call without a break; a call that fails ends the test."""
        while True:
            start = time.monotonic()
            assert await caller.call(callee, "services.svc.hello") == "hello"
            assert await caller.call_manager("echo", "still here") == "still here"
            self.slowest_s = max(self.slowest_s, time.monotonic() - start)
            await asyncio.sleep(0.02)

    async def break_loose(self) -> float:
        """Cut everybody off and return after how many seconds the last one is back and useful."""
        start = time.monotonic()
        self.proxy.cut_all()
        for client in self.crowd:
            client.drop()
        await asyncio.gather(
            *(self._come_back(index) for index in range(len(self.crowd))),
            *(self._answers(number) for number in range(len(self.real))),
        )
        return time.monotonic() - start

    async def _come_back(self, index: int) -> None:
        info = self.crowd[index].info
        token = self._token(int(info["client_id"].partition("-")[2]))
        client = await CrowdClient.come_back(self.own.ws_url, info, token, chance=self.chance)
        await client.offer("svc", {"hello": hello})
        self.crowd[index] = client

    async def _answers(self, number: int) -> None:
        """The library is back by itself: one of the crowd of the same person reaches its service."""

        async def reached() -> bool:
            workspace = self.real[number].config.workspace
            caller = next(client for client in self.crowd if client.info["workspace"] == workspace)
            return bool(await caller.call(f"{workspace}/real-{number}", "services.svc.hello") == "hello")

        await eventually(reached, within_s=90, interval_s=0.1, what=f"real client {number}")


async def _storm(start_server: StartServer, connect: Connect, crowd: int, real: int) -> float:
    own = await start_server()
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    async with FaultProxy(own.url) as proxy:
        storm = Storm(own, proxy, seed)
        tokens = [make_person(own, "stayer").token for _ in range(2)]
        stayers = [await CrowdClient.connect(own.ws_url, token=tokens[index // 2]) for index in range(4)]
        await asyncio.gather(*(storm.join(number) for number in range(crowd)))
        for number in range(real):
            await storm.join_really(connect, number)
        calls = []
        for callee, caller in zip(stayers[::2], stayers[1::2], strict=True):
            await callee.offer("svc", {"hello": hello})
            calls.append(asyncio.create_task(storm.keep_calling(caller, callee.address)))
        process = psutil.Process(own.pid)
        before = process.cpu_times()
        took_s = await storm.break_loose()
        after = process.cpu_times()
        cpu_s = after.user + after.system - before.user - before.system
        for task in calls:
            assert not task.done(), task.exception()
            task.cancel()
        print(
            f"{crowd} + {real} clients back after {took_s:.1f} s, server's CPU {cpu_s:.1f} s; "
            f"slowest call of those who stayed {storm.slowest_s:.2f} s"
        )
        answers = await asyncio.gather(*(client.call_manager("echo", 1) for client in storm.crowd))
        assert set(answers) == {1}
        for client in (*storm.crowd, *stayers):
            client.drop()
        await asyncio.gather(*(client.disconnect() for client in storm.real))
    return took_s


@pytest.mark.timeout(120)
@pytest.mark.spec("faults-F5")
async def test_everybody_returns_from_a_storm_and_nobody_else_notices(
    start_server: StartServer, connect: Connect
) -> None:
    await _storm(start_server, connect, crowd=300, real=4)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.spec("faults-F5")
async def test_two_thousand_clients_return_from_a_storm_within_thirty_seconds(
    start_server: StartServer, connect: Connect
) -> None:
    assert await _storm(start_server, connect, crowd=1950, real=50) < 30
