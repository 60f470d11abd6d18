"""Links whose bytes an ASGI server takes when it likes: a queue in front of its `send`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from hypha.hub.flow import HIGH_WATER_BYTES, LOW_WATER_BYTES
from hypha.transports.link import Link

if TYPE_CHECKING:
    from hypha.transports.ratelimit import FrameRate
    from hypha.transports.reception import Reception

Record = TypeVar("Record")


class QueuedLink(Link, Generic[Record]):
    """A link that queues what it sends, in the form that its transport writes.

    ASGI shows neither arrival nor a buffer, so the queue is what back-pressure looks at. It isn't
    bounded here: above the high-water mark those who fill it are no longer read.
    """

    def __init__(self, reception: Reception, peer_address: str, rate: FrameRate | None = None) -> None:
        super().__init__(reception, peer_address, rate)
        self.readable = asyncio.Event()
        """Clear while nothing may be taken from the client."""
        self.readable.set()
        self._queue: deque[tuple[Record, int]] = deque()
        """What is to be sent, with its size."""
        self._queued_bytes = 0
        """The size of all that, and of what the ASGI server is taking."""
        self._wake = asyncio.Event()
        """Set when there is something to write, or the end."""
        self._ended = False
        """Nothing more is taken, from either side."""
        self._pauses = 0
        """How many calls of `pause_reading` have yet to be taken back."""

    def _put(self, record: Record, size: int) -> None:
        """Queue a record of so many bytes; nothing is queued after the end."""
        if self._ended:
            return
        self._queue.append((record, size))
        self._queued_bytes += size
        self._wake.set()
        client = self.client
        if self._queued_bytes > HIGH_WATER_BYTES and client is not None and client.connection is self:
            self.hub.flow.choke(client)

    def _taken(self, size: int) -> None:
        """The ASGI server has taken so many bytes of the queue."""
        self._queued_bytes -= size
        client = self.client
        if client is not None and client.is_choked and self._queued_bytes < LOW_WATER_BYTES:
            self.hub.flow.drained(client)

    async def _write_all(self, write: Callable[[Record], Awaitable[None]]) -> None:
        """Write what is queued, one record after the other, until the end."""
        while True:
            while self._queue:
                record, size = self._queue.popleft()
                await write(record)
                self._taken(size)
            if self._ended:
                return
            self._wake.clear()
            await self._wake.wait()

    def _end(self) -> None:
        """Take nothing more, from either side; what is queued is still written."""
        self._ended = True
        self._wake.set()
        self.readable.set()

    def send_ping(self, payload: bytes) -> None:
        """ASGI shows no arrival."""

    def abort(self) -> None:
        """End the link without what is queued."""
        self._queue.clear()
        self.close(1011, "Link lost")

    def pause_reading(self) -> None:
        """Take nothing more from the client."""
        self._pauses += 1
        self.readable.clear()

    def resume_reading(self) -> None:
        """Take back one `pause_reading`."""
        self._pauses -= 1
        if self._pauses == 0:
            self.readable.set()

    def buffered_bytes(self) -> int:
        """Bytes that the ASGI server hasn't taken yet."""
        return self._queued_bytes
