"""A proxy in front of an HTTP service that fails, dawdles and breaks off at a given rate, by a seed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.kit.s3 import S3Server

if TYPE_CHECKING:
    from hypha.objects.s3.store import S3Objects

FAULTS = ("500", "503", "half", "cut", "slow")
SLOW_S = 0.3
_PIECE = 64 * 1024


@dataclass
class FaultyProxy:
    """Hands requests on, one connection each; `rate` of them go wrong, in one of `faults`.

    `500` and `503` are answered in place of the service, half of them after it has done its work; `half`
    breaks off in the middle of the answer, `cut` before it; `slow` waits. `done` counts what happened.
    """

    port: int
    rate: float = 0.0
    faults: tuple[str, ...] = FAULTS
    seed: int = 1
    url: str = ""
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            fault = self._random.choice(self.faults) if self._random.random() < self.rate else "none"
            self.done[fault] += 1
            body = await _body(head, reader)
            if fault in ("500", "503") and self._random.random() < 0.5:
                writer.write(_refusal(fault))
            elif fault == "slow":
                await asyncio.sleep(SLOW_S)
                writer.write(await self._ask(head, body))
            else:
                answer = await self._ask(head, body)
                if fault == "cut":
                    return
                if fault == "half":
                    answer = answer[: len(answer) // 2]
                writer.write(_refusal(fault) if fault in ("500", "503") else answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _ask(self, head: bytes, body: bytes) -> bytes:
        """The whole answer of the service."""
        lines = head.rstrip(b"\r\n").split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith((b"connection:", b"expect:"))]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(b"\r\n".join([*kept, b"Connection: close", b"", b""]) + body)
            await writer.drain()
            return await reader.read(-1)
        finally:
            writer.close()


async def _body(head: bytes, reader: asyncio.StreamReader) -> bytes:
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return await reader.readexactly(length)


def _refusal(status: str) -> bytes:
    body = b"<Error><Code>InternalError</Code><Message>secret inner words</Message></Error>"
    return (
        f"HTTP/1.1 {status} Failed\r\nContent-Type: application/xml\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


@asynccontextmanager
async def faulty(port: int, **options: object) -> AsyncIterator[FaultyProxy]:
    """A proxy in front of a port of this machine, while the block runs."""
    proxy = FaultyProxy(port, **options)  # type: ignore[arg-type]
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=_PIECE)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()


@asynccontextmanager
async def behind_faults(server: S3Server, bucket: str) -> AsyncIterator[tuple[S3Objects, FaultyProxy]]:
    """A bucket of an S3 server, and the proxy through which it is reached, which does nothing wrong yet."""
    from hypha.objects.s3.store import S3Objects

    async with faulty(server.port) as proxy:
        objects = S3Objects(replace(server.endpoint(bucket), url=proxy.url))
        await objects.start()
        yield objects, proxy
        await objects.close()
