"""How much memory a value takes that was unpacked."""

from __future__ import annotations

from typing import Any

CONTAINER_BYTES = 64
VALUE_BYTES = 40
"""A number with its place in a list; a text or bytes beside their letters; an entry of a map has two."""


def memory_of(value: Any) -> int:
    """About how many bytes a value takes with all in it; linear in how many values there are."""
    waiting, size = [value], 0
    while waiting:
        item = waiting.pop()
        kind = type(item)
        if kind is dict:
            size += CONTAINER_BYTES + 2 * VALUE_BYTES * len(item)
            size += sum(len(key) for key in item if type(key) is str)
            waiting += item.values()
        elif kind is list or kind is tuple:
            size += CONTAINER_BYTES + VALUE_BYTES * len(item)
            waiting += [each for each in item if type(each) not in _NUMBERS]
        elif kind is str:
            size += VALUE_BYTES + (len(item) if item.isascii() else 4 * len(item))
        elif kind is bytes:
            size += VALUE_BYTES + len(item)
    return size


_NUMBERS = frozenset({int, float, bool, type(None)})
