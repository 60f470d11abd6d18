"""Values of users that are stored: plain data, of bounded size."""

from __future__ import annotations

from typing import Any

import orjson

from hypha.errors import FrameTooLarge, InvalidRequest
from hypha.wire.decodable import check_shown, unplain_place

MAX_VALUE_BYTES = 256 * 1024


def encode_plain(value: Any, what: str, limit_bytes: int = MAX_VALUE_BYTES) -> bytes:
    """Return a value as JSON.

    Raises:
        InvalidRequest: it holds what JSON cannot say, such as bytes, or what others could not decode.
        FrameTooLarge: it is larger than the limit.
    """
    try:
        raw = orjson.dumps(value)
    except (TypeError, ValueError, RecursionError):
        raise InvalidRequest(
            f"'{what}' must be plain data: text, numbers, true, false, null, lists and objects."
            f"{unplain_place(value)}"
        ) from None
    if len(raw) > limit_bytes:
        raise FrameTooLarge(f"'{what}' has {len(raw)} bytes, at most {limit_bytes} are stored.")
    if b"\\u0000" in raw:
        raise InvalidRequest(f"'{what}' must not hold NUL characters.")
    check_shown(value, what, raw)
    return raw


def check_plain(value: Any, what: str, limit_bytes: int = MAX_VALUE_BYTES) -> Any:
    """Return the value if it can be stored, else raise as `encode_plain`."""
    if value is not None:
        encode_plain(value, what, limit_bytes)
    return value
