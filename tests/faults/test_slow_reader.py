"""Promise: a slow reader slows its senders, not the server nor others (docs/spec/reconnecting.md#flow)."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import psutil
import pytest

from hypha.testing import FaultProxy, RawCallError, RawClient, ServerProcess, eventually
from hypha.testing.proxy import Direction
from hypha.testing.rawclient import pack
from tests.kit.clients import Connect, StartServer
from tests.kit.people import make_person

FLAT_BYTES = 32e6


class PeakMemory:
    """The most memory that a process holds while the block runs, over what it held before."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._before = self._peak = self._process.memory_info().rss
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def growth(self) -> int:
        """Bytes over the beginning."""
        return self._peak - self._before

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            self._peak = max(self._peak, self._process.memory_info().rss)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()


class Crowd:
    """A reader behind a slow link, writers who send to it as fast as they can, and a pair of others."""

    def __init__(
        self, reader: RawClient, pair: tuple[RawClient, RawClient], writers: list[RawClient]
    ) -> None:
        self.reader = reader
        self.pair = pair
        self.writers = writers
        self.go_on = asyncio.Event()
        self.go_on.set()

    @classmethod
    @contextlib.asynccontextmanager
    async def gather(cls, own: ServerProcess, rate_bytes_per_s: float, writers: int) -> AsyncIterator[Crowd]:
        """Connect everybody; the writers write until the block ends."""
        token = make_person(own, "alice").token
        async with FaultProxy(own.url, buffer_bytes=64 * 1024) as proxy, contextlib.AsyncExitStack() as stack:

            async def join(url: str = own.ws_url) -> RawClient:
                raw = await RawClient.connect(url, token=token)
                stack.callback(raw.socket.transport.abort)
                return raw

            one, two = await join(), await join()
            await one.offer("svc", {"hello": lambda: "hello"})
            reader = await join(proxy.ws_url)
            await reader.offer("svc")
            for link in proxy.open_links:
                link.slow(Direction.DOWN, rate_bytes_per_s=rate_bytes_per_s)
            crowd = cls(reader, (one, two), [await join() for _ in range(writers)])
            tasks = [asyncio.create_task(crowd._write(raw)) for raw in crowd.writers]
            stack.callback(lambda: [task.cancel() for task in tasks])
            yield crowd

    async def _write(self, raw: RawClient) -> None:
        main = {"type": "method", "to": self.reader.address, "method": "services.svc.take"}
        number = 0
        while True:
            await self.go_on.wait()
            await raw.send_bytes(pack(main, {"args": [raw.address, number, b"x" * 50_000]}))
            number += 1

    async def calls_per_s(self, seconds: float) -> float:
        """How fast the pair calls each other, one call after the other."""
        callee, caller = self.pair
        start, count = time.monotonic(), 0
        while time.monotonic() < start + seconds:
            assert await caller.call(callee.address, "services.svc.hello", timeout_s=10) == "hello"
            count += 1
            caller.frames.clear()
            callee.frames.clear()
        return count / (time.monotonic() - start)

    def check_order(self) -> None:
        """Everything that the reader got came without gaps, from each writer."""
        seen: dict[str, int] = {}
        while not self.reader.calls.empty():
            sender, number, _ = self.reader.calls.get_nowait().extra["args"]
            assert number == seen.get(sender, -1) + 1, f"a frame of {sender} is missing before {number}"
            seen[sender] = number
        assert seen
        assert self.reader.closed is None


@pytest.mark.timeout(60)
@pytest.mark.spec("faults-F6", "wire-16.14")
async def test_slow_reader_keeps_memory_flat_and_loses_nothing(start_server: StartServer) -> None:
    own = await start_server()
    async with Crowd.gather(own, 100_000, writers=10) as crowd:
        with PeakMemory(own.pid) as memory:
            await crowd.calls_per_s(6)
        assert memory.growth < FLAT_BYTES
        crowd.check_order()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.spec("faults-F6", "wire-16.14")
async def test_others_keep_their_throughput_beside_a_slow_reader_and_ten_writers(
    start_server: StartServer,
) -> None:
    """A minute without a break for memory and order; then the pair's rate with the writers writing and
    not, in turns of two seconds, since the rate of the machine itself changes from minute to minute."""
    own = await start_server()
    async with Crowd.gather(own, 100_000, writers=10) as crowd:
        with PeakMemory(own.pid) as memory:
            await crowd.calls_per_s(60)
        beside, alone = [], []
        for _ in range(12):
            crowd.go_on.set()
            beside.append(await crowd.calls_per_s(2))
            crowd.go_on.clear()
            alone.append(await crowd.calls_per_s(2))
        share = statistics.median(beside) / statistics.median(alone)
        print(f"memory +{memory.growth / 1e6:.1f} MB; others keep {share:.0%} of {max(alone):.0f} calls/s")
        assert memory.growth < FLAT_BYTES
        assert share >= 0.8
        crowd.check_order()


@pytest.mark.timeout(60)
@pytest.mark.spec("faults-F6")
async def test_a_reader_that_stops_for_good_is_closed_and_its_callers_are_told(
    start_server: StartServer,
) -> None:
    own = await start_server(env={"HYPHA_SLOW_READER_DEADLINE": "2", "HYPHA_HOLD_TIME": "1"})
    async with Crowd.gather(own, 100_000, writers=0) as crowd, FaultProxy(own.url) as proxy:
        caller, callee = crowd.pair
        token = make_person(own, "alice").token
        frozen = await RawClient.connect(proxy.ws_url, token=token, client_id="frozen")
        await frozen.offer("svc")
        writer = await RawClient.connect(own.ws_url, token=token)
        for link in proxy.open_links:
            link.stall(Direction.DOWN)
        sessions: list[str] = []

        async def write() -> None:
            while True:
                sessions.append(
                    await writer.start_call(frozen.address, "services.svc.take", b"x" * 50_000, interval_s=60)
                )

        with PeakMemory(own.pid) as memory:
            task = asyncio.create_task(write())
            await eventually(
                lambda: "does not read" in own.log, within_s=20, what="the reader to be closed for it"
            )
            await eventually(
                lambda: sum(".reject" in frame.method for frame in writer.frames) > 10, within_s=20
            )
            task.cancel()
            for session in sessions[:-1]:
                with pytest.raises(RawCallError, match=r"^(OutcomeUnknown|NotDelivered)"):
                    await writer.answer_of(session, timeout_s=20)
        assert memory.growth < FLAT_BYTES + 32e6, "what waits for a client that may come back is bounded"
        assert await caller.call_manager("echo", 1) == 1
        assert await callee.is_alive()
        writer.socket.transport.abort()
        frozen.socket.transport.abort()


STARTUP = '''"""A startup function whose service sends as fast as it is let."""
import asyncio

async def start(server):
    passed, running = {}, []

    async def send(to, name, count):
        for number in range(count):
            await server.emit({"type": "news", "to": to, "data": b"x" * 400_000})
            passed[name] = number + 1

    async def begin(to, name, count):
        passed[name] = 0
        running.append(asyncio.create_task(send(to, name, count)))

    await server.register_service({
        "id": "sender", "config": {"visibility": "public"}, "begin": begin,
        "passed": lambda: passed, "echo": lambda value: value,
    })
'''


async def start_with_sender(start_server: StartServer, folder: Path, env: dict[str, str]) -> ServerProcess:
    """A server whose startup function sends what it is told to."""
    (folder / "sender.py").write_text(STARTUP)
    return await start_server(flags=[f"--startup-functions={folder}/sender.py:start"], env=env)


@contextlib.asynccontextmanager
async def startup_sender(
    own: ServerProcess, connect: Connect, proxy: FaultProxy
) -> AsyncIterator[tuple[Any, RawClient, RawClient]]:
    """The service of the startup function, a reader that reads nothing, and one that reads all."""
    alice = make_person(own, "alice")
    sender = await (await connect(alice, url=own.url)).get_service("public/sender")
    frozen = await RawClient.connect(proxy.ws_url, token=alice.token, client_id="frozen")
    healthy = await RawClient.connect(own.ws_url, token=alice.token, client_id="healthy")
    for raw in (frozen, healthy):  # the server sends nothing before a client's first frame
        assert await raw.call_manager("echo", 1) == 1
    for link in proxy.open_links:
        link.stall(Direction.DOWN)
    yield sender, frozen, healthy
    for raw in (frozen, healthy):
        raw.socket.transport.abort()


@pytest.mark.timeout(90)
@pytest.mark.spec("faults-F6", "wire-16.14")
async def test_startup_functions_wait_for_a_reader_that_does_not_read(
    start_server: StartServer, connect: Connect, tmp_path: Path
) -> None:
    own = await start_with_sender(
        start_server, tmp_path, {"HYPHA_FOREIGN_PAUSE_LIMIT": "60", "HYPHA_SLOW_READER_DEADLINE": "60"}
    )
    async with (
        FaultProxy(own.url, buffer_bytes=64 * 1024) as proxy,
        startup_sender(own, connect, proxy) as (sender, frozen, healthy),
    ):
        with PeakMemory(own.pid) as memory:
            for name in ("first", "second"):
                await sender.begin(frozen.address, name, 300)
            last: list[dict[str, int]] = [{}]

            async def stands_still() -> bool:
                last.append(await sender.passed())
                # the second may find the reader full at its first event already
                has_begun = len(last[-1]) == 2 and last[-1]["first"] > 0
                return has_begun and last[-1] == last[-2] and await sender.echo("served") == "served"

            await eventually(stands_still, within_s=20, interval_s=0.5, what="the senders to wait")
            assert sum(last[-1].values()) < 100
            await sender.begin(healthy.address, "healthy", 30)
            await eventually(lambda: len(healthy.frames) >= 30, within_s=20, what="events for others")
        assert memory.growth < FLAT_BYTES
        for link in proxy.open_links:
            link.heal()
        await eventually(lambda: len(frozen.frames) >= 600, within_s=30, what="all events to arrive")


@pytest.mark.timeout(90)
@pytest.mark.spec("faults-F6", "wire-16.14")
async def test_startup_functions_go_on_when_a_reader_stops_for_good(
    start_server: StartServer, connect: Connect, tmp_path: Path
) -> None:
    own = await start_with_sender(start_server, tmp_path, {"HYPHA_SLOW_READER_DEADLINE": "2"})
    async with FaultProxy(own.url) as proxy, startup_sender(own, connect, proxy) as (sender, frozen, _):
        with PeakMemory(own.pid) as memory:
            await sender.begin(frozen.address, "all", 600)

            async def has_ended() -> bool:
                return (await sender.passed()).get("all") == 600

            await eventually(has_ended, within_s=40, what="the sender to be let go")
        assert "does not read" in own.log
        assert memory.growth < FLAT_BYTES + 32e6, "what waits for a client that may come back is bounded"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.spec("faults-F6")
async def test_a_gigabyte_passes_through_bounded_memory(start_server: StartServer, connect: Connect) -> None:
    own = await start_server()
    alice = make_person(own, "alice")
    config = {"url": own.url, "method_timeout": 120}
    provider, caller = await connect(alice, **config), await connect(alice, **config)
    image = np.arange(2**27, dtype=np.uint64).reshape(2**14, 2**13)
    same: list[bool] = []

    def take(array: np.ndarray) -> int:
        same.append(np.array_equal(array, image))
        return int(array.nbytes)

    await provider.register_service({"id": "svc", "take": take})
    service = await caller.get_service("svc")
    with PeakMemory(own.pid) as memory:
        start = time.monotonic()
        assert await service.take(image) == 2**30
        took_s = time.monotonic() - start
    print(f"1 GiB in {took_s:.0f} s, server's memory +{memory.growth / 1e6:.1f} MB")
    assert same == [True]
    assert memory.growth < FLAT_BYTES
