"""Checks of what callers give beside keys, the same for every store: ranges, metadata, parts of uploads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypha.errors import InvalidRequest
from hypha.objects.store import MAX_PARTS


def check_range(start: int, stop: int | None) -> None:
    """Raise InvalidRequest for a range of bytes that is none."""
    if start < 0 or (stop is not None and stop < start):
        raise InvalidRequest("A range of bytes begins at 0 or later, and ends behind its begin.")


def checked_metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Metadata as it may be kept.

    Raises:
        InvalidRequest: it is no map of texts.
    """
    given = dict(metadata or {})
    if not all(isinstance(text, str) for pair in given.items() for text in pair):
        raise InvalidRequest("The metadata of a file is a map of texts to texts.")
    return given


def check_number(number: object) -> int:
    """The number of a part.

    Raises:
        InvalidRequest: it is none of 1 to 10,000.
    """
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MAX_PARTS:
        raise InvalidRequest(f"The number of a part is 1 to {MAX_PARTS:,}.")
    return number


def checked_parts(parts: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """Numbers and plain ETags of the parts of an upload.

    Raises:
        InvalidRequest: there is none, one is doubled, or they are in no order.
    """
    numbers = [check_number(number) for number, _ in parts]
    if not numbers or sorted(set(numbers)) != numbers:
        raise InvalidRequest("The parts of an upload are given once each, in the order of their numbers.")
    return [(number, plain_etag(etag)) for number, etag in parts]


def plain_etag(etag: object) -> str:
    """An ETag without its quotes."""
    return str(etag or "").removeprefix("W/").strip('"')
