"""Memory that clients leave behind is freed a little per turn of the event loop."""

from __future__ import annotations

from collections.abc import Iterable

from hypha.clock import Clock
from hypha.wire.frames import Frame

PER_TURN_BYTES = 1024 * 1024
_WORTH_BYTES = 64 * 1024


class Leftovers:
    """Buffers that are of no use any more.

    The operating system takes up to 0.5 ms to take a mebibyte back. A client can leave hundreds of them at
    once (unfinished messages, frames that it never read), and all other clients would wait meanwhile.
    """

    __slots__ = ("_buffers", "_clock")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buffers: list[Frame] = []
        """Those that are still to be freed; the oldest first."""

    def add(self, buffers: Iterable[Frame]) -> None:
        """Free these soon, if nothing else refers to them; small ones are freed with their owner."""
        is_idle = not self._buffers
        self._buffers += [buffer for buffer in buffers if len(buffer) >= _WORTH_BYTES]
        if is_idle and self._buffers:
            self._clock.call_soon(self._free_some)

    def _free_some(self) -> None:
        """Free the newest first: the C library can give back only the end of its heap."""
        freed, buffers = 0, self._buffers
        while buffers and freed < PER_TURN_BYTES:
            freed += len(buffers.pop())
        if buffers:
            self._clock.call_soon(self._free_some)
