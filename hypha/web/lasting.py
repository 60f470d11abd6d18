"""Answers that last: streams, WebSockets, applications that take their time.

What a caller may do is looked at when a request comes. An answer that goes on for long is looked at
again each second, and ends when its caller has lost the right to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from hypha.errors import BackendUnavailable, HyphaError

if TYPE_CHECKING:
    from hypha.auth.users import Context

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
AT_ONCE = 100
"""So many are looked at in one turn of the event loop."""

Check = Callable[["Context"], Awaitable[None]]


async def _nothing(context: Context) -> None:
    """Whoever may begin may go on."""


class _Answer:
    """One of them: whose, the task that makes it, and why it was ended."""

    __slots__ = ("context", "ended_by", "task")

    def __init__(self, context: Context, task: asyncio.Task[object]) -> None:
        self.context = context
        self.task = task
        self.ended_by: HyphaError | None = None


class LastingAnswers:
    """The lasting answers of one server.

    Args:
        check: raises when the caller behind a context may no longer do what it could at the beginning.
    """

    def __init__(self, check: Check = _nothing) -> None:
        self._check = check
        self._answers: set[_Answer] = set()

    def __len__(self) -> int:
        return len(self._answers)

    @contextlib.asynccontextmanager
    async def watching(self, context: Context) -> AsyncIterator[None]:
        """Look after the caller while the body runs.

        Raises:
            HyphaError: what `check` raised meanwhile; the body was cancelled.
        """
        task = asyncio.current_task()
        assert task is not None
        answer = _Answer(context, task)
        self._answers.add(answer)
        try:
            yield
        except asyncio.CancelledError:
            if answer.ended_by is not None and task.uncancel() <= 0:
                raise answer.ended_by from None
            raise
        finally:
            self._answers.discard(answer)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Look at every answer once."""
        for number, answer in enumerate(list(self._answers), 1):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                await self._check(answer.context)
            except BackendUnavailable:
                continue  # nobody knows now; it is asked again
            except HyphaError as error:
                if answer in self._answers and answer.ended_by is None:
                    logger.info("An answer for %s ends: %s", answer.context.user.id, error.message)
                    answer.ended_by = error
                    answer.task.cancel()
