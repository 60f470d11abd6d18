"""Peers that hung up are let go a few per turn of the event loop.

Thousands of sockets may end in the same millisecond: a proxy that stops, a crowd that leaves, an attacker.
The event loop hands all these ends over in one turn, some 25 µs each when closed at once, and more of them
pile up meanwhile; all other clients would wait for tens of milliseconds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from hypha.clock import Clock

PER_TURN = 16


class Departures:
    """Closes the transports of peers that hung up, in the order in which they did.

    A protocol hands its transport over in `eof_received` and returns True there: it stays open till then.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Transport] = deque()
        """Those that are still open; while there is one, a call of `_close_some` is due."""

    def add(self, transport: Any, clock: Clock) -> None:
        """Close a transport soon."""
        if not self._waiting:
            clock.call_soon(self._close_some, clock)
        self._waiting.append(transport)

    def _close_some(self, clock: Clock) -> None:
        waiting = self._waiting
        for _ in range(min(PER_TURN, len(waiting))):
            waiting.popleft().close()
        if waiting:
            clock.call_soon(self._close_some, clock)
