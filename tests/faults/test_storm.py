"""Promise: a storm of reconnects is over soon and hurts nobody who stayed (faults F5, F15)."""

from __future__ import annotations

import asyncio
import time

import psutil
import pytest
from websockets.exceptions import InvalidStatus

from hypha.testing import FaultProxy, RawClient, eventually
from tests.conftest import Connect, Person, StartServer, make_person


async def _resume(ws_url: str, old: RawClient, person: Person) -> RawClient:
    """Come back as the clients do: at once, then after growing pauses."""
    for pause_s in (0.0, 1.0, 2.0, 4.0, 8.0):
        await asyncio.sleep(pause_s)
        try:
            fields = {"token": person.token, "reconnection_token": old.info["reconnection_token"]}
            again = await RawClient.connect(ws_url, client_id=old.info["client_id"], timeout_s=30, **fields)
            await again.offer("svc", {"hello": lambda: "hello"})
            return again
        except (OSError, InvalidStatus):  # refused before the upgrade: busy, try again
            continue
    raise AssertionError("a client could not come back")


async def _storm(start_server: StartServer, connect: Connect, clients: int, within_s: float) -> None:
    own = await start_server()
    people = [make_person(own, f"storm-{number}") for number in range(20)]
    stayer = await connect(make_person(own, "stayer"), url=own.url, client_id="stayer")
    await stayer.register_service({"id": "svc", "hello": lambda: "hello"})
    witness = await connect(make_person(own, "witness"), url=own.url)
    async with FaultProxy(own.url) as proxy:
        gate = asyncio.Semaphore(50)

        async def join(number: int) -> RawClient:
            async with gate:
                raw = await RawClient.connect(
                    proxy.ws_url, client_id=f"raw-{number}", token=people[number % 20].token, timeout_s=30
                )
                await raw.offer("svc", {"hello": lambda: "hello"})
                return raw

        crowd = await asyncio.gather(*(join(number) for number in range(clients)))
        running = True
        calls: list[float] = []

        async def keep_calling() -> None:
            while running:
                start = time.monotonic()
                assert await witness.echo("still here") == "still here"
                calls.append(time.monotonic() - start)

        witness_task = asyncio.create_task(keep_calling())
        start = time.monotonic()
        assert proxy.cut_all() == clients
        back = await asyncio.gather(
            *(_resume(proxy.ws_url, raw, people[number % 20]) for number, raw in enumerate(crowd))
        )
        took_s = time.monotonic() - start
        running = False
        await witness_task
        print(f"{clients} clients back after {took_s:.1f} s; slowest call of the witness {max(calls):.2f} s")
        assert took_s < within_s
        assert max(calls) < 5.0
        answers = await asyncio.gather(*(raw.is_alive() for raw in back))
        assert all(answers)
        await asyncio.gather(*(raw.close() for raw in back))


@pytest.mark.timeout(90)
@pytest.mark.spec("faults-F5")
async def test_two_hundred_clients_return_from_a_storm(start_server: StartServer, connect: Connect) -> None:
    await _storm(start_server, connect, clients=200, within_s=10)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.spec("faults-F5")
async def test_two_thousand_clients_return_from_a_storm(start_server: StartServer, connect: Connect) -> None:
    await _storm(start_server, connect, clients=2000, within_s=30)


async def _cycles(start_server: StartServer, count: int) -> None:
    own = await start_server()
    alice = make_person(own, "alice")
    process = psutil.Process(own.pid)

    async def cycle(number: int) -> None:
        # ids return, as those of programs do: a new handshake ends what the link's loss left held
        raw = await RawClient.connect(own.ws_url, token=alice.token, client_id=f"cycle-{number % 500}")
        await raw.offer("svc", {"hello": lambda: "hello"})
        assert await raw.call(raw.address, "services.svc.hello") == "hello"
        await (raw.close() if number % 2 else raw.abort())

    async def batch(start: int, size: int) -> None:
        for first in range(start, start + size, 20):
            await asyncio.gather(*(cycle(number) for number in range(first, first + 20)))

    async with await RawClient.connect(own.ws_url, token=alice.token, client_id="admin") as admin:
        await batch(0, 200)
        await admin.call_manager("cleanup", None, 1, timeout_s=30)
        handles, rss = process.num_fds(), process.memory_info().rss
        await batch(1000, count)
        await admin.call_manager("cleanup", None, 1, timeout_s=30)
        await eventually(lambda: process.num_fds() <= handles + 5, within_s=15, what="file handles to return")
        growth = process.memory_info().rss - rss
        print(f"{count} cycles: memory grew by {growth / 1e6:.1f} MB")
        assert growth < max(8e6, count * 1500)
        listed = await admin.call_manager("list_clients")
        assert [entry["id"] for entry in listed if "cycle-" in entry["id"]] == []


@pytest.mark.timeout(90)
@pytest.mark.spec("faults-F15")
async def test_a_thousand_clients_that_came_and_went_leave_nothing(start_server: StartServer) -> None:
    await _cycles(start_server, 1000)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.spec("faults-F15")
async def test_ten_thousand_clients_that_came_and_went_leave_nothing(start_server: StartServer) -> None:
    await _cycles(start_server, 10_000)
