"""Unpacking that stops at a number of values, and lets other threads run meanwhile.

An empty list is one byte of a message, but 60 bytes of memory and 0.4 µs: 15 MB of them would take 1 GB
and hold everybody else up for 7 s. msgpack keeps all other threads waiting while it unpacks, so a large
message is given to it in pieces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import msgpack

MAX_QUICK_VALUES = 20_000
"""Unpacking so many takes up to a millisecond."""
MAX_VALUES = 500_000
"""In one call to a function of the server."""
MAX_PASSED_VALUES = 4_000_000
"""In one result or body that the server turns from one format into another."""

CONTAINER_VALUES = 8
"""A list or map counts as so many values beside those in it."""

MAX_ENTRIES = 250_000
"""In one map: when it grows, all other threads wait until every entry has its new place."""

_UNCOUNTED_BYTES = 8000
_PIECE_BYTES = 32 * 1024
_TIME = re.compile(rb"\xd6\xff|\xd7\xff|\xc7\x0c\xff")
"""How a time begins."""


class ValueLimit(ValueError):
    """There are too many values, or too many in one map."""

    def __init__(self, max_values: int, of: str = "it") -> None:
        super().__init__(f"{of} holds more than {max_values:,} values; send bytes or arrays instead")

    @classmethod
    def of_map(cls) -> Self:
        """There are too many in one map."""
        return cls(2 * MAX_ENTRIES, "a map in it")


def unpack(
    data: bytes | memoryview,
    max_values: int = MAX_VALUES,
    ext_hook: Callable[[int, bytes], Any] = msgpack.ExtType,
    *,
    any_keys: bool = False,
) -> Any:
    """Unpack one msgpack value; with `any_keys`, keys of maps may also be numbers, null and so on.

    Raises:
        ValueLimit: it holds too many values.
        ValueError: it is not one whole value.
        TypeError, msgpack.UnpackException, RecursionError: it cannot be unpacked, or a key in it is a time.
    """
    options: dict[str, Any] = {"ext_hook": ext_hook, "strict_map_key": not any_keys}
    is_short = len(data) <= 2 * _PIECE_BYTES
    may_have_times = any_keys and (not is_short or _TIME.search(data) is not None)
    if len(data) <= _UNCOUNTED_BYTES:
        if may_have_times:
            options["object_pairs_hook"] = _map_without_times
        return msgpack.unpackb(data, **options)
    try:
        options |= limits(max_values, may_have_times=may_have_times)
        return msgpack.unpackb(data, **options) if is_short else _unpack_pieces(data, options)
    except ValueError as error:
        text = str(error)
        if "exceeds max_map_len" in text and max_values >= 2 * MAX_ENTRIES:
            raise ValueLimit.of_map() from None
        if "exceeds max_" in text:
            raise ValueLimit(max_values) from None
        raise


def _unpack_pieces(data: bytes | memoryview, options: Mapping[str, Any]) -> Any:
    unpacker = msgpack.Unpacker(
        _Reader(data),
        read_size=_PIECE_BYTES,
        max_buffer_size=len(data) + 1,
        **options,
    )
    value = unpacker.unpack()
    if unpacker.tell() != len(data):
        raise ValueError("there are bytes after the value")
    return value


class _Reader:
    """A file for the unpacker. Its method is no C code, so each call lets other threads run."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self._at = 0

    def read(self, size: int) -> bytes:
        """The next bytes."""
        begin = self._at
        self._at += size
        return bytes(self._data[begin : self._at])


def limits(max_values: int, *, may_have_times: bool = False) -> dict[str, Any]:
    """Options of an unpacker that raises `ValueError` when a value holds more values than this.

    With `may_have_times`, also `TypeError` for a map with times as keys.
    """
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

    def map_of(entries: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
        count(CONTAINER_VALUES + 2 * len(entries))
        return _map_without_times(entries)

    return {
        "list_hook": list_made,
        **({"object_pairs_hook": map_of} if may_have_times else {"object_hook": map_made}),
        "max_array_len": max_values,
        "max_map_len": min(MAX_ENTRIES, max_values // 2),
    }


def _map_without_times(entries: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    """Times have a hash that anybody can reckon: a map of many that share one takes minutes to make."""
    if msgpack.Timestamp in {type(key) for key, _ in entries}:
        raise TypeError("a time is no key of a map")
    return dict(entries)
