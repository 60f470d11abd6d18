"""Finding the keys of function values in packed data, however they are spelt.

The decoder of JavaScript clients takes UTF-8 that is longer than it must be, in which no byte of a key is
as it would be otherwise. What comes to other people's clients may hold no key spelt like that.
"""

from __future__ import annotations

import re

KEYS = ("_rtarget", "_rmethod", "_rclose_method")


def _low(value: int) -> bytes:
    """A pattern for a byte of which only the lower six bits are looked at."""
    return b"[%s]" % b"".join(re.escape(bytes((top | value,))) for top in (0x00, 0x40, 0x80, 0xC0))


def _long(letter: str) -> tuple[bytes, bytes, bytes]:
    """Patterns for a letter from `@` to DEL in two, three and four bytes."""
    last = _low(ord(letter) & 0x3F)
    return b"\\xc1" + last, b"\\xe0" + _low(1) + last, b"\\xf0" + _low(0) + _low(1) + last


def _any(text: str) -> bytes:
    """A pattern for a text of such letters, each in any length."""
    return b"".join(b"(?:%s)" % b"|".join((letter.encode(), *_long(letter))) for letter in text)


_AFTER_UNDERSCORE = _any("r") + b"(?:%s)" % b"|".join(_any(key[2:]) for key in KEYS)
_SPELLINGS = tuple(re.compile(first + _AFTER_UNDERSCORE, re.DOTALL) for first in (b"_", *_long("_")))
"""One for each first byte: `re` is slow where a pattern may begin in several ways."""


def places_of_keys(data: bytes) -> list[int]:
    """Where keys of function values may be, in any spelling, in order."""
    return sorted(found.start() for pattern in _SPELLINGS for found in pattern.finditer(data))
