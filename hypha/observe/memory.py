"""How long the C library keeps memory that large messages left behind."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_KEPT_BYTES = 16 * 1024 * 1024
_MAPPED_FROM_BYTES = 2 * 1024 * 1024


def keep_frame_buffers() -> bool:
    """Let the heap keep up to 16 MiB between two trims; False where that cannot be set.

    By default glibc gives the end of its heap back as soon as little of it is free. Each frame of a large
    transfer (256 KiB) then costs two system calls and a page fault for every 4 KiB, a tenth of its CPU.
    """
    mallopt = _glibc_function("mallopt", ctypes.c_int, ctypes.c_int)
    if mallopt is None:
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _KEPT_BYTES) and mallopt(_MMAP_THRESHOLD, _MAPPED_FROM_BYTES))


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
    return _glibc_function("malloc_trim", ctypes.c_size_t)


def _glibc_function(name: str, *arguments: Any) -> Callable[..., int] | None:
    """A function of glibc's heap; None elsewhere, where others give memory back by themselves."""
    try:
        function = getattr(ctypes.CDLL("libc.so.6"), name)
    except (OSError, AttributeError):
        return None
    function.argtypes, function.restype = arguments, ctypes.c_int
    found: Callable[..., int] = function
    return found
