"""Turns at something that only a few may do at once: nobody's crowd is in front of anybody else."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator

from hypha.errors import RateLimited

MOST_WAITING = 2_000
MOST_PER_KEY = 64


class Turns:
    """So many at once; one of each key at a time, and the keys in turn.

    Those with `first` go before all others. The key is where somebody comes from.

    Raises:
        RateLimited: from `taken`, when too many of the key, or of all keys, are waiting.
    """

    def __init__(self, at_once: int, *, most: int = MOST_WAITING, most_per_key: int = MOST_PER_KEY) -> None:
        self._left = at_once
        self._most = most
        self._most_per_key = most_per_key
        self._busy: set[str] = set()
        self._waiting: OrderedDict[tuple[bool, str], deque[asyncio.Future[None]]] = OrderedDict()
        self._count = 0

    @contextlib.asynccontextmanager
    async def taken(self, key: str, *, first: bool = False) -> AsyncIterator[None]:
        """Wait for a turn and have it."""
        if self._left > 0 and key not in self._busy:
            self._begin(key)
        else:
            await self._wait(key, first)
        try:
            yield
        finally:
            self._end(key)

    async def _wait(self, key: str, first: bool) -> None:
        queue = self._waiting.get((first, key)) or deque()
        if len(queue) >= self._most_per_key or (self._count >= self._most and not first):
            raise RateLimited("Too many people sign in right now. Please try again.", retry_after_s=2)
        self._waiting[first, key] = queue
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        self._count += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._end(key)  # it had been given just before
            raise

    def _begin(self, key: str) -> None:
        self._left -= 1
        self._busy.add(key)

    def _end(self, key: str) -> None:
        self._left += 1
        self._busy.discard(key)
        while self._left > 0 and (name := self._next()) is not None:
            queue = self._waiting[name]
            turn = queue.popleft()
            self._count -= 1
            if queue:
                self._waiting.move_to_end(name)
            else:
                del self._waiting[name]
            if not turn.done():  # whoever waited may have gone
                self._begin(name[1])
                turn.set_result(None)

    def _next(self) -> tuple[bool, str] | None:
        free = [name for name in self._waiting if name[1] not in self._busy]
        return next((name for name in free if name[0]), free[0] if free else None)
