"""Which parts of a content a request asks for (RFC 9110, 14), whatever the content comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

_RANGE = re.compile(rb"([0-9]+)-([0-9]*)|-([0-9]+)")
_MAX_DIGITS = 18


def asks_for_ranges(scope: Mapping[str, Any]) -> bool:
    """Whether a request names ranges, well formed or not."""
    return any(name == b"range" for name, _ in scope["headers"])


def with_ranges_that_count(scope: MutableMapping[str, Any], size_bytes: int) -> MutableMapping[str, Any]:
    """The request to a content of some size with those of its ranges alone that count.

    A `Range` counts for GET, if it is well formed and in bytes; otherwise it is as if it weren't there.
    """
    given = [value for name, value in scope["headers"] if name == b"range"]
    is_one = scope["method"] == "GET" and len(given) == 1
    ranges = satisfiable_ranges(given[0], size_bytes) if is_one else None
    headers = [field for field in scope["headers"] if field[0] != b"range"]
    if ranges is not None:
        headers.append((b"range", ranges))
    return {**scope, "headers": headers}


def satisfiable_ranges(value: bytes, size_bytes: int) -> bytes | None:
    """A `Range` of bytes with only those ranges of which the content has something (RFC 9110, 14).

    If it has nothing of any, the value stays, to be refused. None for one to be ignored: of another unit,
    malformed, or with an end before its begin.
    """
    unit, _, listed = value.partition(b"=")
    found = [_RANGE.fullmatch(each) for each in listed.translate(None, b" \t").split(b",") if each]
    if unit.strip().lower() != b"bytes" or not found:
        return None
    kept = []
    for match in found:
        if match is None:
            return None
        first, last, suffix = (int(digits[:_MAX_DIGITS]) if digits else None for digits in match.groups())
        if first is not None and last is not None and last < first:
            return None
        if (first if first is not None else size_bytes - (suffix or 0)) < size_bytes:
            kept.append(match[0])
    return b"bytes=" + b",".join(kept or [match[0] for match in found if match])
