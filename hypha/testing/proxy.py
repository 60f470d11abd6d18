"""A TCP proxy between a client and a server that breaks links on demand.

It lives in user space and needs no rights: `FaultProxy` listens on a port and forwards each
connection (`Link`) to the target. Faults apply to one link or to all of them; a `FaultScript` chooses them
at random from a seed that is printed, so that a run can be repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from urllib.parse import urlsplit

_READ_BYTES = 64 * 1024


class Direction(StrEnum):
    """Which way bytes go."""

    UP = "to the server"
    DOWN = "to the client"


@dataclass(slots=True)
class Conditions:
    """What happens to bytes of one direction.

    `delay_s` holds each piece back, `rate_bytes_per_s` (0: no limit) throttles, `is_stalled` stops
    reading (the sender's buffers fill up), `loses` reads and throws away (the link can't heal).
    """

    delay_s: float = 0.0
    rate_bytes_per_s: float = 0.0
    is_stalled: bool = False
    loses: bool = False
    forwarded_bytes: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Link:
    """One proxied connection."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.up = Conditions()
        self.down = Conditions()
        self.is_open = True

    def cut(self) -> None:
        """Drop both sockets at once; bytes on the way are lost, each side sees an end."""
        self._end(reset=False)

    def reset(self) -> None:
        """Drop both sockets with a TCP reset."""
        self._end(reset=True)

    def stall(self, *directions: Direction) -> None:
        """Stop forwarding (default: both ways) but keep both sockets open: a half-open link."""
        for conditions in self._of(directions):
            conditions.is_stalled = True

    def lose(self, *directions: Direction) -> None:
        """Throw bytes away (default: both ways) but keep both sockets open."""
        for conditions in self._of(directions):
            conditions.loses = True

    def slow(self, *directions: Direction, delay_s: float = 0.0, rate_bytes_per_s: float = 0.0) -> None:
        """Delay or throttle (default: both ways); zeros take it back."""
        for conditions in self._of(directions):
            conditions.delay_s, conditions.rate_bytes_per_s = delay_s, rate_bytes_per_s

    def heal(self) -> None:
        """End a stall and a slow-down; lost bytes stay lost."""
        for conditions in (self.up, self.down):
            conditions.is_stalled, conditions.delay_s, conditions.rate_bytes_per_s = False, 0.0, 0.0
            conditions.changed.set()

    def _of(self, directions: Iterable[Direction]) -> list[Conditions]:
        chosen = list(directions) or [Direction.UP, Direction.DOWN]
        return [self.up if direction is Direction.UP else self.down for direction in chosen]

    def _end(self, *, reset: bool) -> None:
        self.is_open = False
        for writer in (self.client, self.server):
            raw = writer.get_extra_info("socket")
            if reset and raw is not None:
                with contextlib.suppress(OSError):
                    reset_on_close(raw)
            writer.transport.abort()

    async def run(self, client: asyncio.StreamReader, server: asyncio.StreamReader) -> None:
        """Forward both ways until one side ends."""
        pumps = [
            asyncio.create_task(_pump(client, self.server, self.up)),
            asyncio.create_task(_pump(server, self.client, self.down)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump, writer in zip(pumps, (self.server, self.client), strict=True):
                if pump.done() and pump.exception() is None and self.is_open:
                    with contextlib.suppress(OSError, ConnectionError):
                        await asyncio.wait_for(writer.drain(), 1.0)
                    writer.close()
            await asyncio.wait(pumps, timeout=0.2)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._end(reset=False)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, conditions: Conditions) -> None:
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)
    feeder = asyncio.create_task(_deliver(pieces, writer, conditions))
    try:
        while data := await reader.read(_READ_BYTES):
            while conditions.is_stalled:
                conditions.changed.clear()
                await conditions.changed.wait()
            if not conditions.loses:
                await pieces.put((time.monotonic() + conditions.delay_s, data))
        await pieces.put((0.0, b""))
        await feeder
    except (ConnectionError, OSError):
        pass
    finally:
        feeder.cancel()
        await asyncio.gather(feeder, return_exceptions=True)


async def _deliver(
    pieces: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, conditions: Conditions
) -> None:
    while True:
        due, data = await pieces.get()
        if not data:
            return
        if (wait_s := due - time.monotonic()) > 0:
            await asyncio.sleep(wait_s)
        step = len(data) if not conditions.rate_bytes_per_s else max(1, int(conditions.rate_bytes_per_s / 20))
        for start in range(0, len(data), step):
            part = data[start : start + step]
            writer.write(part)
            await writer.drain()
            conditions.forwarded_bytes += len(part)
            if conditions.rate_bytes_per_s:
                await asyncio.sleep(len(part) / conditions.rate_bytes_per_s)


class FaultProxy:
    """Listens on `url` and forwards to `target`; use it as `async with`.

    `accepts` False refuses new connections (they are closed at once). `buffer_bytes` shrinks the
    kernel's socket buffers, so that a throttled reader is felt early.
    """

    def __init__(self, target_url: str, *, port: int = 0, buffer_bytes: int = 0) -> None:
        self.forward_to(target_url)
        self._path = urlsplit(target_url).path
        self._port = port
        self._buffer_bytes = buffer_bytes
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.links: list[Link] = []
        self.accepts = True
        self.accepted = 0
        self.faults = 0

    def forward_to(self, target_url: str) -> None:
        """Forward new connections there, as a load balancer does when a server goes."""
        parts = urlsplit(target_url)
        assert parts.hostname and parts.port, f"no host and port in {target_url!r}"
        self._target = (parts.hostname, parts.port)

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        assert self._server is not None, "the proxy was not started"
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Base URL for clients, with the target's path."""
        return f"http://127.0.0.1:{self.port}{self._path}"

    @property
    def ws_url(self) -> str:
        """URL of the WebSocket endpoint behind the proxy."""
        return f"ws://127.0.0.1:{self.port}{self._path.rstrip('/')}/ws"

    @property
    def open_links(self) -> list[Link]:
        """Links that still stand."""
        self.links = [link for link in self.links if link.is_open]
        return self.links

    async def __aenter__(self) -> FaultProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        self.cut_all()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut_all(self) -> int:
        """Cut every open link; returns how many there were."""
        links = self.open_links
        for link in links:
            link.cut()
        self.faults += len(links)
        return len(links)

    def reset_all(self) -> int:
        """Reset every open link; returns how many there were."""
        links = self.open_links
        for link in links:
            link.reset()
        self.faults += len(links)
        return len(links)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if not self.accepts:
                writer.transport.abort()
                return
            self._shrink(writer)
            server_reader, server_writer = await asyncio.open_connection(*self._target)
            self._shrink(server_writer)
            link = Link(writer, server_writer)
            self.links.append(link)
            self.accepted += 1
            await link.run(reader, server_reader)
        except OSError:
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)

    def _shrink(self, writer: asyncio.StreamWriter) -> None:
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._buffer_bytes:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer_bytes)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer_bytes)


def reset_on_close(raw: socket.socket) -> None:
    """When this socket is closed, end its connection by a reset (RST) in place of an orderly end (FIN)."""
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class FaultScript:
    """Breaks random links of some proxies, about every `gap_s` seconds (± half), by a seed.

    `kinds` are names of faults: `cut`, `reset`, `stall` (half-open for up to `stall_s`, then cut)
    and `delay` (up to 0.3 s for a while). `history` lists what was done: seconds since start,
    kind, and name of the proxy.
    """

    def __init__(
        self,
        proxies: dict[str, FaultProxy],
        *,
        seed: int,
        gap_s: float = 3.0,
        kinds: tuple[str, ...] = ("cut", "reset"),
        stall_s: float = 1.0,
    ) -> None:
        self.seed = seed
        self.history: list[tuple[float, str, str]] = []
        self._proxies = proxies
        self._gap_s = gap_s
        self._kinds = kinds
        self._stall_s = stall_s
        self._random = random.Random(seed)

    async def run(self, seconds: float) -> None:
        """Break links for some seconds; the last link is healed before this returns."""
        start = time.monotonic()
        while True:
            pause_s = self._random.uniform(0.5, 1.5) * self._gap_s
            if time.monotonic() + pause_s > start + seconds:
                return
            await asyncio.sleep(pause_s)
            name = self._random.choice(sorted(self._proxies))
            kind = self._random.choice(self._kinds)
            links = self._proxies[name].open_links
            if links:
                self.history.append((round(time.monotonic() - start, 2), kind, name))
                await self._break(kind, self._random.choice(links))
                self._proxies[name].faults += 1

    async def _break(self, kind: str, link: Link) -> None:
        if kind == "reset":
            link.reset()
        elif kind == "stall":
            link.stall()
            await asyncio.sleep(self._random.uniform(0.1, self._stall_s))
            link.cut()
        elif kind == "delay":
            link.slow(delay_s=self._random.uniform(0.0, 0.3))
            await asyncio.sleep(self._random.uniform(0.1, self._stall_s))
            link.heal()
        else:
            link.cut()
