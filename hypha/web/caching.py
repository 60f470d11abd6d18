"""What caches on the way, and the browser's own, may keep of answers (RFC 9111)."""

from __future__ import annotations

from collections.abc import Iterable

_PRIVATE = (b"private", b"no-store")
_SHARED = (b"public", b"s-maxage")
_OF_CACHES = frozenset(
    {b"cache-control", b"edge-control", b"expires", b"surrogate-control", b"x-accel-expires"}
)
"""Fields by which an answer tells the browser and the caches on the way how long they may keep it."""


def for_one_person(
    headers: Iterable[tuple[bytes, bytes]], *, may_store: bool = False
) -> list[tuple[bytes, bytes]]:
    """The headers of an answer that was made for who asked, so that nobody else gets it from a cache.

    What the answer says itself stays, with `private` before it unless it is meant for everybody. With
    `may_store` the browser may keep one that says nothing, and asks each time whether it is still good.
    """
    kept = list(headers)
    for place, (name, value) in enumerate(kept):
        if name == b"cache-control":
            words = value.lower()
            if not any(word in words for word in (*_PRIVATE, *_SHARED)):
                kept[place] = (name, b"private, " + value)
            return kept
    return [*kept, (b"cache-control", b"private, no-cache" if may_store else b"private, no-store")]


def for_nobody_else(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer that would do harm in somebody else's browser, whatever it says itself.

    Who asked may keep it, and asks each time whether it is still good.
    """
    kept = [pair for pair in headers if pair[0] not in _OF_CACHES and not pair[0].endswith(b"-cache-control")]
    return [*kept, (b"cache-control", b"private, no-cache")]
