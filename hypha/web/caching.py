"""What caches on the way, and the browser's own, may keep of answers (RFC 9111)."""

from __future__ import annotations

from collections.abc import Iterable

_PRIVATE = (b"private", b"no-store")
_SHARED = (b"public", b"s-maxage")


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
