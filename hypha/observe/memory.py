"""Gives memory that large messages left behind back to the system."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable


async def trim_regularly(interval_s: float) -> None:
    """Run for ever, trimming the C library's heap; returns at once where that is not possible.

    One trim takes a few milliseconds at most and runs in a worker thread without the interpreter lock.
    """
    trim = _trim_function()
    if trim is None or interval_s <= 0:
        return
    trim(0)  # starting leaves much behind
    while True:
        await asyncio.sleep(interval_s)
        await asyncio.to_thread(trim, 0)


def _trim_function() -> Callable[[int], int] | None:
    try:
        function = ctypes.CDLL("libc.so.6").malloc_trim  # glibc's; others give memory back by themselves
    except (OSError, AttributeError):
        return None
    function.argtypes, function.restype = [ctypes.c_size_t], ctypes.c_int
    trim: Callable[[int], int] = function
    return trim
