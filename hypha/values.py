"""Checks of single values that callers sent; what a refusal says is mostly the asker's own."""

from __future__ import annotations

from typing import TypeGuard

from hypha.errors import InvalidRequest

_MAX_OFFSET = 2**31 - 1


def is_whole(value: object) -> TypeGuard[int]:
    """True for a whole number; `True` and `False` are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[int | float]:
    """True for a number, infinity too; not for NaN, `True` and `False`."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def check_offset(value: object) -> int:
    """How many results to skip.

    Raises:
        InvalidRequest: it is no whole number, or none that a database counts with.
    """
    if not is_whole(value) or not 0 <= value <= _MAX_OFFSET:
        raise InvalidRequest("Offset number must be greater than or equal to 0")
    return value
