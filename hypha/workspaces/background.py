"""Work that goes on after its caller was answered, owned by whoever made it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from hypha.errors import HyphaError

logger = logging.getLogger(__name__)


class Background:
    """A bounded set of tasks that end with their owner."""

    def __init__(self, limit: int = 10_000) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._limit = limit
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, Any], what: str) -> bool:
        """Run a coroutine; its failure is logged. False, and nothing is run, above the limit."""
        if len(self._tasks) >= self._limit:
            work.close()
            self.dropped += 1
            return False
        task = asyncio.get_running_loop().create_task(self._run(work, what))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _run(self, work: Coroutine[Any, Any, Any], what: str) -> None:
        try:
            await work
        except HyphaError as error:
            logger.info("%s failed: %s", what, error)
        except Exception:
            logger.exception("Fault in %s", what)

    async def settled(self) -> None:
        """Wait until nothing is running."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Cancel what is left and await its end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
