"""Sessions with too many processes, counted and ended for root, whom the system does not limit."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping

from hypha.workers.processes import group_sizes

_COUNT_S = 1.0
"""Between two counts."""

EndSession = Callable[[], Awaitable[None]]


class Swarms:
    """Counts while there are sessions. `leaders` are the first processes, each with what ends its session."""

    def __init__(self, most_processes: int, leaders: Callable[[], Mapping[int, EndSession]]) -> None:
        self._most_processes = most_processes
        self._leaders = leaders
        self._counting: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """A session has begun: count, if that is needed."""
        if os.getuid() == 0 and self._most_processes and self._counting is None:
            self._counting = asyncio.create_task(self._count())

    async def _count(self) -> None:
        while leaders := self._leaders():
            sizes = await asyncio.to_thread(group_sizes, list(leaders))
            for leader, end in leaders.items():
                if sizes[leader] > self._most_processes:
                    await end()
            await asyncio.sleep(_COUNT_S)
        self._counting = None
