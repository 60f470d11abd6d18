"""Work that goes on by itself, owned by whoever made it, and work that nobody leaves half done."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import Any, TypeVar

from hypha.errors import HyphaError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

MAX_TASKS = 10_000
MAX_TASKS_PER_PARTY = 500


class Tasks:
    """Tasks that end with their owner."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine, which takes care of its own failures, until it ends or its owner closes."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def settled(self) -> None:
        """Wait until nothing is running."""
        while self._running:
            await asyncio.wait(self._running)

    async def close(self) -> None:
        """Cancel what is left and await its end."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Background:
    """A bounded set of tasks that end with their owner.

    Args:
        limit: tasks in all, of strangers half of it. per_party: tasks of one workspace.
    """

    def __init__(self, limit: int = MAX_TASKS, per_party: int = MAX_TASKS_PER_PARTY) -> None:
        self.dropped = 0
        """How many there was no room for."""
        self._tasks = Tasks()
        self._limit = limit
        self._per_party = per_party
        self._of_party: Counter[str] = Counter()
        """How many run for each party; none is 0."""
        self._of_strangers = 0
        """How many run for anonymous users."""

    def __len__(self) -> int:
        return len(self._tasks)

    def start(
        self, work: Coroutine[Any, Any, Any], what: str, *, party: str = "", is_stranger: bool = False
    ) -> bool:
        """Run a coroutine; its failure is logged. False, and nothing is run, above the limits.

        Args:
            party: the workspace on whose account it runs; empty for the server itself.
            is_stranger: it is that of an anonymous user.
        """
        if not self._has_room(party, is_stranger):
            work.close()
            self.dropped += 1
            return False
        task = self._tasks.start(self._run(work, what))
        self._of_party[party] += 1
        self._of_strangers += is_stranger
        task.add_done_callback(partial(self._ended, work, party, is_stranger))
        return True

    def _has_room(self, party: str, is_stranger: bool) -> bool:
        if party and self._of_party[party] >= self._per_party:
            return False
        if is_stranger and self._of_strangers >= self._limit // 2:
            return False
        return len(self._tasks) < self._limit

    def _ended(
        self, work: Coroutine[Any, Any, Any], party: str, is_stranger: bool, task: asyncio.Task[None]
    ) -> None:
        work.close()  # it was never begun if its task was cancelled before
        self._of_strangers -= is_stranger
        self._of_party[party] -= 1
        if not self._of_party[party]:
            del self._of_party[party]

    async def _run(self, work: Coroutine[Any, Any, Any], what: str) -> None:
        try:
            await work
        except HyphaError as error:
            logger.info("%s failed: %s", what, error)
        except Exception:
            logger.exception("Fault in %s", what)

    async def settled(self) -> None:
        """Wait until nothing is running."""
        await self._tasks.settled()

    async def close(self) -> None:
        """Cancel what is left and await its end."""
        await self._tasks.close()


async def to_its_end(work: Awaitable[Result]) -> Result:
    """Do something to its end; a caller that is called off, however often, waits for that too."""
    job = asyncio.ensure_future(work)
    called_off: asyncio.CancelledError | None = None
    while not job.done():
        try:
            await asyncio.wait((job,))
        except asyncio.CancelledError as error:
            called_off = error
    if called_off is not None:
        if not job.cancelled():
            job.exception()  # nobody is left to be told
        raise called_off
    return job.result()
