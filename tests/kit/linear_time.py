"""Readers of what comes from outside, held to time in proportion to the size of what they get."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from hypha.errors import HyphaError

N_BYTES = 16 * 1024
SHAPES = [
    "a", "a.", "a b", "A:", "a: ", "a,", "a;", "a=b;", "a=b&", "&", "=", "/", "//", "../", "a/", "@", "a@",
    "a@b.", ":", "*", " ", "\t", "\n", "\n\n", '"', '\\"', "\\", "'", "[", "{", "[[]],", '{"a":', "]", "<",
    "(", "a (", "%", "%2", "%25", "%41", "\x00", "\x7f", "ä", "\u0301", "日", "0", "9", "-", "1.", "1e", "+",
    "eyJ", "eyJ.", "QUFB", "_", "__", "#/", "$", "|", "RemoteException: ", "x.RemoteError:", "CallFailed:",
    "Traceback (most recent call last):\n", "\n\na:\n\nTraceback (most recent call last):\n",
    "  + Exception Group Traceback (most recent call last):\n", "text/html;q=0.1,", "q=1;", "gzip,", "for=",
    'for="', "1.1.1.1,", "::", "[::1]:", "keep-alive,", "basic ", "negotiate", "http://", "_rtarget",
    "Args:\n", "a: b\n",
]  # fmt: skip


def repeated(shape: str, size_bytes: int) -> str:
    return shape * (size_bytes // len(shape.encode()))


def seconds(read: Callable[[Any], Any], given: Any, at_most: float = 1e9) -> float:
    """CPU time of the quickest of some readings (s), all of them shorter than ``at_most`` or not.

    Whoever shares the core makes a reading dearer and never cheaper, so the least of several is the truest;
    short ones are repeated more often, since they vary most."""
    best, spent = at_most, 0.0
    for _ in range(5):
        start = time.process_time()
        with contextlib.suppress(HyphaError, ValueError):
            read(given)
        took = time.process_time() - start
        best, spent = min(best, took), spent + took
        if spent > 0.3:
            break
    return best


def check_growth(read: Callable[[Any], Any], make: Callable[[int], Any], n: int, what: str) -> None:
    """Compare n with 4n, and 4n with 16n where that grew too fast: a way that is taken from some size on may
    cost more than the one before, but must be linear itself."""
    for small, large in ((n, 4 * n), (4 * n, 16 * n)):
        slow = seconds(read, make(large))
        if slow < 0.03:  # nothing to see at this size
            return
        quick = seconds(read, make(small))
        if slow > 9 * quick + 0.03:  # perhaps somebody was in the way: look once more before it is said
            slow = seconds(read, make(large), slow)
        if slow < 9 * quick + 0.03:
            return
    pytest.fail(f"{what}: {quick:.4f} s for 4n, {slow:.4f} s for 16n")


def check_reader_of_texts(read: Callable[[str], Any]) -> None:
    """Give a reader its worst shapes at several sizes."""
    for shape in SHAPES:
        check_growth(read, partial(repeated, shape), N_BYTES, repr(shape))
