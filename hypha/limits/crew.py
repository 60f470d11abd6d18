"""Threads that work for parties in turn, so that nobody's work holds up that of others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from hypha.limits.turns import Turns

Result = TypeVar("Result")


class Crew:
    """A few threads; whoever has much to do waits for itself (`Turns`).

    Args:
        size: how many work at a time. name: of the threads, for people.
    """

    def __init__(self, size: int, name: str) -> None:
        self._turns = Turns(size)
        self._threads = ThreadPoolExecutor(size, name)

    async def work(self, job: Callable[[], Result]) -> Result:
        """Do something in a thread when it is the turn of the party of the present work.

        A caller that gives up keeps its turn until the thread is done.
        """
        async with self._turns.taken():
            work = asyncio.get_running_loop().run_in_executor(self._threads, job)
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                await asyncio.wait((work,))
                raise

    async def close(self) -> None:
        """Wait for what is being worked on, and end the threads."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
