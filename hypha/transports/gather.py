"""Frames for one receiver that one read callback, or requests in one turn, make are written together.

A system call and the waking of the receiver cost more than the routing of a small frame.
"""

from __future__ import annotations

from typing import Protocol

from hypha.clock import Clock
from hypha.wire.frames import HEADROOM, Frame

GATHER_BYTES = 1024 * 1024
_JOIN_BYTES = 64 * 1024
_SHORT_HEADS = [bytes((0x82, n)) for n in range(126)]


class Gathering(Protocol):
    """A link that keeps frames back until it is flushed."""

    def flush(self) -> None:
        """Write what was kept back."""


class Gather:
    """The links that have something to write when the present read callback has ended."""

    __slots__ = ("is_on", "links")

    def __init__(self) -> None:
        self.is_on = False
        """While it is, links keep frames back; switched for each larger read, and by `begin_turn`."""
        self.links: list[Gathering] = []
        """Those that kept something back; each puts itself in."""

    def begin_turn(self, clock: Clock) -> None:
        """Keep frames back until this turn of the loop ends: calls of HTTP requests come many at a time."""
        if not self.is_on:
            self.is_on = True
            clock.call_soon(self.flush)

    def flush(self) -> None:
        """Write everything; until the next read callback frames are written at once."""
        self.is_on = False
        links = self.links
        if links:
            self.links = []
            for link in links:
                link.flush()


def framed(frames: list[Frame]) -> list[Frame | memoryview]:
    """Put the WebSocket header of a whole binary message in front of each frame (RFC 6455, 5.2)."""
    parts: list[Frame | memoryview] = []
    size = 0
    for frame in frames:
        n = len(frame)
        size += n
        if type(frame) is bytearray:
            head = _head(n - HEADROOM)
            start = HEADROOM - len(head)
            frame[start:HEADROOM] = head
            parts.append(memoryview(frame)[start:])
        else:
            parts.append(_head(n))
            parts.append(frame)
    return [b"".join(parts)] if size < _JOIN_BYTES else parts


def _head(n: int) -> bytes:
    if n < 126:
        return _SHORT_HEADS[n]
    return b"\x82\x7e" + n.to_bytes(2, "big") if n < 65536 else b"\x82\x7f" + n.to_bytes(8, "big")
