"""Threads that work for parties in turn, so that nobody's work holds up that of others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from hypha.background import to_its_end
from hypha.limits.turns import Turns

Result = TypeVar("Result")


class Crew:
    """A few threads; whoever has much to do waits for itself (`Turns`).

    Args:
        size: how many work at a time. name: of the threads, for people.
        turns: whose they are to be, if not one for each thread and whoever comes may wait.
    """

    def __init__(self, size: int, name: str, turns: Turns | None = None) -> None:
        self._turns = Turns(size) if turns is None else turns
        self._threads = ThreadPoolExecutor(size, name)

    async def work(
        self, job: Callable[[], Result], party: str | None = None, *, first: bool = False
    ) -> Result:
        """Do something in a thread when it is the turn of a party; that of the present work if none is given.

        A caller that gives up keeps its turn until the thread is done, or it could begin more than its share.

        Args:
            first: it comes before all others.

        Raises:
            RateLimited: too many wait. And what the job raises.
        """
        async with self._turns.taken(party, first=first):
            return await to_its_end(asyncio.get_running_loop().run_in_executor(self._threads, job))

    async def close(self) -> None:
        """Wait for what is being worked on, and end the threads."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    def end(self) -> None:
        """Let the threads end when they are done."""
        self._threads.shutdown(wait=False, cancel_futures=True)
