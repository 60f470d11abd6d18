"""How what was built is taken down: the last first, each part whatever becomes of the others."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Self

logger = logging.getLogger(__name__)


class Endings:
    """Learns how to end each part when it has been built."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    def add(self, what: str, end: Callable[[], Any]) -> None:
        """Call `end`, a function or coroutine function, before what was added earlier."""
        self._stack.push_async_callback(_end, what, end)

    def inner(self) -> Self:
        """Endings that are run at this place, also those that are yet to be added to them."""
        made = type(self)()
        self._stack.push_async_callback(made.run)
        return made

    async def run(self) -> None:
        """End all parts; a failure is logged, and a cancellation waits for the last one."""
        await self._stack.aclose()


async def _end(what: str, end: Callable[[], Any]) -> None:
    try:
        ending = end()
        if inspect.isawaitable(ending):
            await ending
    except Exception:
        logger.exception("Could not stop %s; the others are stopped", what)
