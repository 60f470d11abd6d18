"""Finding the keys of function values in packed data, however they are spelt.

The decoder of JavaScript clients takes UTF-8 that is longer than it must be, in which no byte of a key is
as it would be otherwise. What comes to other people's clients may hold no key spelt like that.
"""

from __future__ import annotations

import re

from hypha.wire.frames import Buffer

KEYS = ("_rtarget", "_rmethod", "_rclose_method")
_PLAIN = tuple(key.encode() for key in KEYS)


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
_LONG = re.compile(rb"[\xc1\xe0\xf0]")


def may_be_oddly_spelt(data: Buffer, head: int) -> bool:
    """Whether packed data has a byte that keys longer than they must be have: quick, and often true."""
    if type(data) is bytes:
        return data.find(b"\xc1", head) >= 0 or data.find(b"\xe0", head) >= 0 or data.find(b"\xf0", head) >= 0
    return _LONG.search(data, head) is not None


def holds_oddly_spelt_key(data: Buffer, head: int) -> bool:
    """Whether a key of a function value is in packed data, not as it is spelt by everybody else."""
    plain, *others = _SPELLINGS
    if any(pattern.search(data, head) for pattern in others):
        return True
    return any(found.group() not in _PLAIN for found in plain.finditer(data, head))


def places_of_keys(data: bytes) -> list[int]:
    """Where keys of function values may be, in any spelling, in order."""
    return sorted(found.start() for pattern in _SPELLINGS for found in pattern.finditer(data))
