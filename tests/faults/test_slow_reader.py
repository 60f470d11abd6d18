"""Promise: a slow reader slows its senders, not the server nor others (DESIGN 3.4, faults F6)."""

from __future__ import annotations

import asyncio
import contextlib
import time

import psutil
import pytest

from hypha.testing import FaultProxy, RawClient, ServerProcess
from hypha.testing.proxy import Direction
from hypha.testing.rawclient import pack
from tests.conftest import StartServer, make_person


async def _slow_reader(own: ServerProcess, seconds: float, writers: int) -> None:
    alice = make_person(own, "alice")
    process = psutil.Process(own.pid)
    pair = [await RawClient.connect(own.ws_url, token=alice.token, client_id=name) for name in ("one", "two")]
    await pair[0].offer("svc", {"hello": lambda: "hello"})

    async def calls_per_s(duration_s: float) -> float:
        start, count = time.monotonic(), 0
        while time.monotonic() < start + duration_s:
            assert await pair[1].call(pair[0].address, "services.svc.hello", timeout_s=10) == "hello"
            count += 1
        return count / (time.monotonic() - start)

    async with FaultProxy(own.url, buffer_bytes=64 * 1024) as proxy:
        reader = await RawClient.connect(proxy.ws_url, token=alice.token, client_id="reader")
        await reader.offer("svc")
        for link in proxy.open_links:
            link.slow(Direction.DOWN, rate_bytes_per_s=100_000)
        senders = [await RawClient.connect(own.ws_url, token=alice.token) for _ in range(writers)]
        before = process.memory_info().rss

        async def send(raw: RawClient) -> None:
            main = {"type": "method", "to": reader.address, "method": "services.svc.take"}
            number = 0
            with contextlib.suppress(Exception):
                while True:
                    await raw.send_bytes(pack(main, {"args": [raw.address, number, b"x" * 50_000]}))
                    number += 1

        tasks = [asyncio.create_task(send(raw)) for raw in senders]
        try:
            rate = await calls_per_s(seconds)
            growth = process.memory_info().rss - before
            print(f"{rate:.0f} calls/s beside the slow reader, memory +{growth / 1e6:.1f} MB")
            assert growth < 48e6
            assert rate > 50
            seen: dict[str, int] = {}
            while not reader.calls.empty():
                sender, number, _ = reader.calls.get_nowait().extra["args"]
                assert number == seen.get(sender, -1) + 1, f"a frame of {sender} is missing before {number}"
                seen[sender] = number
            assert seen
        finally:
            for task in tasks:
                task.cancel()
            for raw in [*senders, reader, *pair]:
                raw.socket.transport.abort()


@pytest.mark.timeout(60)
@pytest.mark.spec("faults-F6", "wire-16.14")
async def test_slow_reader_keeps_memory_flat_and_others_quick(start_server: StartServer) -> None:
    await _slow_reader(await start_server(), seconds=5, writers=4)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.spec("faults-F6", "wire-16.14")
async def test_slow_reader_with_ten_writers_for_a_minute(start_server: StartServer) -> None:
    await _slow_reader(await start_server(), seconds=60, writers=10)
