"""How much each workspace keeps in S3, where others write, too: counted now and then, beside the work."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from hypha.background import Tasks
from hypha.errors import HyphaError
from hypha.limits import BoundedMap
from hypha.objects.room import Room, owner_of
from hypha.objects.s3.control import Control
from hypha.objects.s3.listing import all_below

logger = logging.getLogger(__name__)

COUNT_EVERY_S = 60.0
TIMES_AS_LONG = 20
"""Counting takes at most this part of the time."""
MAX_COUNTED = 10_000
"""Workspaces of which it is known when they were counted."""
COUNTED_TOGETHER = 4


class Counting:
    """Keeps `room` near to what is there; what this server writes itself is counted at once.

    Signed addresses lead past the server, so an upload may overrun what a workspace may keep; the next one
    is refused.

    Args:
        is_bounded: somebody's room is bounded; else nothing is counted that others wrote.
    """

    def __init__(
        self, control: Control, clock: Callable[[], float] = time.monotonic, *, is_bounded: bool = True
    ) -> None:
        self.room = Room({}, Path("/"))
        self._is_bounded = is_bounded
        self._control = control
        self._clock = clock
        self._next: BoundedMap[str, float] = BoundedMap(MAX_COUNTED)
        self._running = set[str]()
        self._turns = asyncio.Semaphore(COUNTED_TOGETHER)
        self._tasks = Tasks()

    def look(self, owner: str) -> None:
        """Somebody is about to write: count anew if that was long ago."""
        if not self._is_bounded:
            return
        now = self._clock()
        if owner and owner not in self._running and (self._next.get(owner) or 0.0) <= now:
            self._next.put(owner, now + COUNT_EVERY_S)
            self._running.add(owner)
            self._tasks.start(self._count_once(owner))

    def check(self, key: str) -> None:
        """See that there is room for something more of the owner of a key, as far as it is known.

        Raises:
            QuotaExceeded: it keeps too much, or too many objects.
        """
        owner = owner_of(key)
        self.look(owner)
        self.room.take(owner, 1, 1)
        self.room.add(owner, -1, -1)

    async def _count_once(self, owner: str) -> None:
        try:
            async with self._turns:
                await self.count(owner)
        finally:
            self._running.discard(owner)

    async def count(self, owner: str) -> None:
        """Count what an owner keeps; what is written meanwhile may count twice or not until the next time."""
        began = self._clock()
        count = size = 0
        try:
            async for page in all_below(self._control, f"{owner}/"):
                count += len(page)
                size += sum(info.size for info in page)
        except HyphaError:
            return  # it was logged, and is tried again
        took = self._clock() - began
        self._next.put(owner, self._clock() + max(COUNT_EVERY_S, TIMES_AS_LONG * took))
        self.room.set(owner, count, size)

    async def close(self) -> None:
        """End."""
        await self._tasks.close()
