"""Whether the database can be used now: noted by those who use it, looked at by a watch of its own."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from hypha.errors import BackendUnavailable
from hypha.observe.health import READY, State

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
LOOK_AGAIN_S = 0.5
FAIL_AT_ONCE_S = 10.0


class Condition:
    """The fault of the database that stands, if one does.

    A fault that costs time to find out (locked, no answer) is told to others at once for
    `FAIL_AT_ONCE_S`, so that they don't queue up to wait for the same.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._fault: BackendUnavailable | None = None
        self._noted_at = 0.0
        self._is_slow = False
        self._trouble = asyncio.Event()

    def state(self) -> State:
        """For the readiness page; names neither files nor hosts."""
        return READY if self._fault is None else State(False, self._fault.message.partition(":")[0])

    def note(self, fault: BackendUnavailable, *, is_slow: bool) -> None:
        """Somebody met a fault."""
        if self._fault is None:
            logger.error("The database is in trouble: %s", fault.message)
        self._fault, self._noted_at, self._is_slow = fault, self._clock(), is_slow
        self._trouble.set()

    def clear(self) -> None:
        """The database was used and worked."""
        if self._fault is not None:
            logger.warning("The database works again")
        self._fault = None
        self._trouble.clear()

    def check(self) -> None:
        """Raise the standing fault again if trying would take long to fail."""
        if self._fault is not None and self._is_slow and self._clock() - self._noted_at < FAIL_AT_ONCE_S:
            raise BackendUnavailable(self._fault.message)

    async def watch(self, look: Callable[[bool], Awaitable[None]]) -> None:
        """Look every now and then, and often while a fault stands, until cancelled.

        Args:
            look: uses the database and raises BackendUnavailable; True asks for a real write.
        """
        while True:
            if self._fault is None:
                await self._quiet()
            else:
                await asyncio.sleep(LOOK_AGAIN_S)
            try:
                await look(self._fault is not None)
            except BackendUnavailable:
                continue
            self.clear()

    async def _quiet(self) -> None:
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                await self._trouble.wait()
        except TimeoutError:
            return
