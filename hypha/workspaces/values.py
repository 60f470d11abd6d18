"""Values of users that are stored: plain data, of bounded size."""

from __future__ import annotations

from typing import Any

import orjson

from hypha.errors import FrameTooLarge, InvalidRequest
from hypha.wire.decodable import check_shown, may_be_odd, unplain_place, untagged

MAX_VALUE_BYTES = 256 * 1024


def encode_plain(value: Any, what: str, limit_bytes: int = MAX_VALUE_BYTES) -> bytes:
    """Return a value as JSON, as `plain` makes it.

    Raises:
        InvalidRequest: it holds what JSON cannot say, such as bytes, or what others could not decode.
        FrameTooLarge: it is larger than the limit.
    """
    return _plain(value, what, limit_bytes)[1]


def plain(value: Any, what: str, limit_bytes: int = MAX_VALUE_BYTES) -> Any:
    """Return what is stored of a value: sets of the libraries as lists, their ordered maps as objects.

    Raises:
        InvalidRequest, FrameTooLarge: as `encode_plain`.
    """
    return None if value is None else _plain(value, what, limit_bytes)[0]


def _plain(value: Any, what: str, limit_bytes: int) -> tuple[Any, bytes]:
    raw = _encoded(value, what)
    if len(raw) > limit_bytes:
        raise FrameTooLarge(f"'{what}' has {len(raw)} bytes, at most {limit_bytes} are stored.")
    if b"\\u0000" in raw:
        raise InvalidRequest(f"'{what}' must not hold NUL characters.")
    check_shown(value, what, raw)
    if may_be_odd(raw):
        value = untagged(value)
        raw = _encoded(value, what)
        check_shown(value, what, raw)
    return value, raw


def _encoded(value: Any, what: str) -> bytes:
    try:
        return orjson.dumps(value)
    except (TypeError, ValueError, RecursionError):
        raise InvalidRequest(
            f"'{what}' must be plain data: text, numbers, true, false, null, lists and objects."
            f"{unplain_place(value)}"
        ) from None
