"""Frames on their way to one client, kept until they are known to have arrived.

docs/spec/reconnecting.md#acknowledgement: entries are numbered; a PONG or an answer acknowledges a number
and everything before it. What was written but not acknowledged when a link dies is in doubt.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from math import inf
from typing import Any, Protocol

from hypha.errors import HyphaError
from hypha.wire.frames import Frame


class Kind(IntEnum):
    """What a frame is, which decides whether it may be sent again (docs/spec/reconnecting.md#classes)."""

    CALL = 0
    """Runs something: never sent twice."""
    ANSWER = 1
    """`resolve`, `reject`, `heartbeat`: a second one is harmless."""
    REPEATABLE = 2
    """A call that does no harm when it runs twice."""
    EVENT = 3
    """Nobody waits for an answer: never sent twice."""


REPEATABLE_METHODS = frozenset(
    {
        "services.built-in.ping",
        "services.built-in.get_service",
        "services.built-in.message_cache.set",
    }
)


class Caller(Protocol):
    """Who waits for the answer of a call: a client, or a peer inside the server."""

    address: str
    """Under which it calls; of a peer in every workspace, for the log."""

    @property
    def ended(self) -> bool:
        """True when it waits for nothing any more."""

    def reject(self, session: str, source: str, error: HyphaError) -> None:
        """End the waiting call `session` with an error as if `source` had answered."""


CallKey = tuple[Caller, str]


PendingCall = tuple[int, float, float]
"""A call that was passed on and not answered yet: its number in the outbox, the loop time (s) at
which it or its last heartbeat passed, and the caller's heartbeat interval (s), half its timeout.
A plain tuple, because one is made for every call."""

PING_BYTES = 262_144
"""So many bytes in a row are followed by a PING at once, without waiting for the timer."""

Entry = tuple[Frame, int, Any]
"""Frame, its Kind, and the CallKey of a call that waits for an answer (else None)."""


class Outbox:
    """Numbered frames; the numbers go on from one link to the next."""

    __slots__ = (
        "base",
        "bytes",
        "end",
        "entries",
        "pinged",
        "pinged_at",
        "round_trip_s",
        "unpinged_bytes",
        "written",
    )

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        """Those that are kept: `base` to `end`, in order."""
        self.base = 0
        """Number of the oldest one kept."""
        self.end = 0
        """Number that the next one gets."""
        self.written = 0
        """Number after the last one that was handed to the present or last link."""
        self.bytes = 0
        """Size of all that are kept."""
        self.unpinged_bytes = 0
        """Size of those that were written since the last PING."""
        self.pinged = -1
        """The number that the PING on its way asks for; -1 while none is."""
        self.pinged_at = 0.0
        """When that was sent (s, loop time)."""
        self.round_trip_s = inf
        """The shortest time (s) that a PONG took on the present link; `inf` before the first."""

    def acknowledge(self, seq: int) -> None:
        """Drop every written frame up to and including number `seq`."""
        entries = self.entries
        if seq >= self.written:
            seq = self.written - 1
        while self.base <= seq:
            self.bytes -= len(entries.popleft()[0])
            self.base += 1

    def drop(self, keep: list[Entry]) -> None:
        """Replace everything kept by `keep`, as not yet written; numbers go on."""
        self.entries = deque(keep)
        self.bytes = sum(len(entry[0]) for entry in keep)
        self.base = self.written = self.end
        self.end += len(keep)
        self.pinged = -1
        self.unpinged_bytes = 0

    def take_doubtful(self) -> list[Entry]:
        """Remove and return the frames that were written but not acknowledged."""
        count = self.written - self.base
        doubtful = [self.entries.popleft() for _ in range(count)]
        self.base = self.written
        self.bytes -= sum(len(entry[0]) for entry in doubtful)
        return doubtful
