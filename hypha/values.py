"""Checks of single values that callers sent; what a refusal says is mostly the asker's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any, TypeGuard

from hypha.errors import InvalidRequest

YES, NO = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})
"""How texts such as those of a query say it, in small letters."""
_MAX_OFFSET = 2**31 - 1
_TOO_LARGE = 2**1023


def is_whole(value: object) -> TypeGuard[int]:
    """True for a whole number; `True` and `False` are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[int | float]:
    """True for a number, infinity too; not for NaN, `True`, `False` and what no float can hold."""
    if isinstance(value, float):
        return value == value
    return is_whole(value) and abs(value) < _TOO_LARGE


def whole(value: float) -> int | float:
    """A number without fraction as a whole one, others as they are: so programs write and compare them."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def unknown_keys(given: Mapping[Any, object], known: Collection[str]) -> set[str]:
    """Keys of a caller's map that mean nothing, for a refusal: at most 20 of them, cut to 100 characters."""
    return set(islice((str(key)[:100] for key in given if key not in known), 20))


def check_offset(value: object) -> int:
    """How many results to skip.

    Raises:
        InvalidRequest: it is no whole number, or none that a database counts with.
    """
    if not is_whole(value) or not 0 <= value <= _MAX_OFFSET:
        raise InvalidRequest("Offset number must be greater than or equal to 0")
    return value
