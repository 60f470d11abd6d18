"""Sessions that have too many processes, or use too much memory together, looked at and ended.

The system limits each process; how many a user has it limits for others than root.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from hypha.workers.children import ProcessLimits
from hypha.workers.processes import Usage, usage_of

_LOOK_S = 1.0
"""Between two looks, at least."""
_PAUSES = 20
"""A look is followed by a pause so many times as long: where there are many processes, it takes a while."""
_MIB = 1024 * 1024


class Watched(NamedTuple):
    """A session: the variables that name its processes, and what ends it, with why."""

    marks: Mapping[str, str]
    end: Callable[[str], Awaitable[None]]


class Swarms:
    """Looks while there are sessions. `watched` are they, by their first processes."""

    def __init__(self, limits: ProcessLimits, watched: Callable[[], Mapping[int, Watched]]) -> None:
        self._most_processes = limits.processes if os.getuid() == 0 else 0
        self._most_mb = limits.session_memory_mb
        self._watched = watched
        self._looking: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """A session has begun: look, if that is needed."""
        if (self._most_processes or self._most_mb) and self._looking is None:
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while watched := dict(self._watched()):
            begun = time.monotonic()
            marks = {leader: each.marks for leader, each in watched.items()}
            for leader, wrong in (await asyncio.to_thread(self._wrongs, marks)).items():
                await watched[leader].end(f"It {wrong} and was ended.")
            await asyncio.sleep(max(_LOOK_S, _PAUSES * (time.monotonic() - begun)))
        self._looking = None

    def _wrongs(self, marks: Mapping[int, Mapping[str, str]]) -> dict[int, str]:
        """What is wrong with which sessions."""
        found = {leader: self._wrong(usage) for leader, usage in usage_of(marks).items()}
        return {leader: wrong for leader, wrong in found.items() if wrong}

    def _wrong(self, usage: Usage) -> str:
        if 0 < self._most_processes < len(usage.pids):
            return f"had more than {self._most_processes} processes"
        most = self._most_mb * _MIB
        if most and usage.memory_bytes > most and usage.shared_memory_bytes() > most:
            return f"used more than {self._most_mb} MiB of memory"
        return ""
