"""Wait for a condition with a deadline instead of sleeping."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def eventually(
    condition: Callable[[], Any] | Callable[[], Awaitable[Any]],
    *,
    within_s: float = 5.0,
    interval_s: float = 0.02,
    what: str = "",
) -> Any:
    """Return the first true value of `condition()` (plain or async); exceptions count as false.

    Raises:
        AssertionError: nothing true came within `within_s`; names `what` and the last value or error.
    """
    deadline = time.monotonic() + within_s
    last: Any = None
    while True:
        try:
            last = condition()
            if inspect.isawaitable(last):
                last = await asyncio.wait_for(last, max(0.05, deadline - time.monotonic()))
            if last:
                return last
        except Exception as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(
                f"{what or 'the condition'} did not hold within {within_s} s; last: {last!r}"
            )
        await asyncio.sleep(interval_s)
