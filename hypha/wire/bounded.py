"""Unpacking that stops at a number of values.

An empty list is one byte of a message, but 60 bytes of memory and 0.4 µs: 15 MB of them would take 1 GB
and hold everybody else up for 7 s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack

MAX_QUICK_VALUES = 20_000
"""Unpacking so many takes up to a millisecond."""
MAX_VALUES = 500_000
"""In one call to a function of the server."""
MAX_PASSED_VALUES = 4_000_000
"""In one result or body that the server turns from one format into another."""

CONTAINER_VALUES = 8
"""A list or map counts as so many values beside those in it."""

_UNCOUNTED_BYTES = 8000


class ValueLimit(ValueError):
    """There are too many values."""

    def __init__(self, max_values: int) -> None:
        super().__init__(f"it holds more than {max_values:,} values; send bytes or arrays instead")


def unpack(
    data: bytes | memoryview,
    max_values: int = MAX_VALUES,
    ext_hook: Callable[[int, bytes], Any] = msgpack.ExtType,
) -> Any:
    """Unpack one msgpack value.

    Raises:
        ValueLimit: it holds too many values.
        ValueError: it is not one whole value.
        TypeError, msgpack.UnpackException, RecursionError: it cannot be unpacked.
    """
    if len(data) <= _UNCOUNTED_BYTES:
        return msgpack.unpackb(data, ext_hook=ext_hook)
    try:
        return msgpack.unpackb(data, ext_hook=ext_hook, **limits(max_values))
    except ValueError as error:
        if "exceeds max_" in str(error):
            raise ValueLimit(max_values) from None
        raise


def limits(max_values: int) -> dict[str, Any]:
    """Options of an unpacker that raises `ValueError` when a value holds more values than this."""
    left = max_values

    def count(values: int) -> None:
        nonlocal left
        left -= values
        if left < 0:
            raise ValueLimit(max_values)

    def list_made(items: list[Any]) -> list[Any]:
        count(CONTAINER_VALUES + len(items))
        return items

    def map_made(items: dict[Any, Any]) -> dict[Any, Any]:
        count(CONTAINER_VALUES + 2 * len(items))
        return items

    return {
        "list_hook": list_made,
        "object_hook": map_made,
        "max_array_len": max_values,
        "max_map_len": max_values // 2,
    }
