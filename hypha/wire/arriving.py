"""Messages between clients that come in chunks, looked into as the chunks pass.

Receivers merge the body over the envelope, chunked or not, and turn function values into calls with their
own rights. So the keys of the body and what functions name are checked here as for single frames, but
without keeping the message: a large byte string is stepped over, many small values go to C code.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import msgpack

from hypha.errors import ForeignFunction, MalformedFrame, TooManyValues
from hypha.wire.frames import ENVELOPE_KEYS, METHOD_BODY_KEYS, checked_interval, read_envelope
from hypha.wire.spelling import places_of_keys
from hypha.wire.values import BUILT_IN, SERVICES

MAX_DEPTH = 500
"""Levels of lists and maps; the libraries' unpackers take no more."""
MAX_STEPS = 30_000
"""Values of one chunk that are looked at in Python, with 0.4 µs each."""

TARGET, METHODS = "_rtarget", ("_rmethod", "_rclose_method")
INTERVALS = "t", "interval"
"""How often to send heartbeats: in the body, and in a promise."""
SEALED = "data", "pub", "nonce"
"""An encrypted body, and in `_enc` its key and nonce: bytes (`readable.check_sealed`)."""
_STEPS_BEFORE_C = 500
_TRIES_OF_C = 16
_MIN_BYTES_FOR_C = 1000
_MAX_KEY_BYTES = 64
_ANY_LENGTH: dict[str, Any] = {f"max_{kind}_len": 2**32 - 1 for kind in ("str", "bin", "array", "map", "ext")}
_MAX_NAME_BYTES = 2048

_ONE_BYTE = (rb"[\x00-\x80\x90\xa0\xc0\xc2\xc3\xe0-\xff]*", 1)
_RUNS = {
    first: (re.compile(pattern, re.DOTALL), size)
    for pattern, size, firsts in (
        (*_ONE_BYTE, (*range(0x81), 0x90, 0xA0, 0xC0, 0xC2, 0xC3, *range(0xE0, 0x100))),
        *((rb"(?:\x%02x.{%d})*" % (kind, size - 1), size, (kind,))
          for kind, size in ((0xCA, 5), (0xCB, 9), (0xCC, 2), (0xCD, 3), (0xCE, 5), (0xCF, 9),
                             (0xD0, 2), (0xD1, 3), (0xD2, 5), (0xD3, 9))),
    )
    for first in firsts
}  # fmt: skip
"""Equal kinds of values after each other: by the first byte, what matches them all and the size of one."""

_FIXED = {0xC0: 1, 0xC2: 1, 0xC3: 1, 0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9,
          0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9, 0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18}  # fmt: skip
_BYTES = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)}
_BINARY = (0xC4, 0xC5, 0xC6)
_TEXTS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_NESTED = {0xDC: (2, False), 0xDD: (4, False), 0xDE: (2, True), 0xDF: (4, True)}


Barred = Callable[[str], str | None]
"""Tells for a name with what beginning a function of it may not be called: empty for any, None for none."""


class _Level:
    """A list or map that is open: how many values are left, and what is known of a function in it."""

    __slots__ = ("barred", "is_map", "left", "methods")

    def __init__(self, left: int, is_map: bool, barred: frozenset[str]) -> None:
        self.left = left
        self.is_map = is_map
        self.barred = barred
        self.methods: frozenset[str] = frozenset()


class ArrivingMessage:
    """One message; feed it its chunks in order.

    Args:
        check_envelope: raises for one that may not pass.
        barred: see `Barred`.
    """

    def __init__(self, check_envelope: Callable[[dict[str, Any]], None], barred: Barred) -> None:
        self._check_envelope = check_envelope
        self._barred = barred
        self._levels: list[_Level] = []
        self._rest = b""
        self._skip = 0
        self._begun = False
        self._seen: set[str] = set()
        self._is_method = False
        self._wanted = ""  # for what key the next value is: "_rtarget", a method's or an interval's
        self._is_promise = False
        self._is_seal = False
        self._steps = 0
        self._keys: list[int] | None = None

    @property
    def is_complete(self) -> bool:
        """True when the body has come to its end."""
        return self._begun and not self._levels and not self._skip and not self._rest

    @property
    def was_dense(self) -> bool:
        """The last chunk had many small values: looking into it took milliseconds."""
        return self._steps >= _STEPS_BEFORE_C

    def feed(self, chunk: bytes) -> None:
        """Look into the next chunk.

        Raises:
            MalformedFrame, ForeignFunction, TooManyValues, PermissionDenied: the message may not pass.
        """
        data, pos = (self._rest + chunk, 0) if self._rest else (chunk, 0)
        self._rest = b""
        if not self._begun:
            pos = self._begin(data)
        elif self.is_complete and data:
            raise MalformedFrame("Malformed message: bytes after the second map")
        try:
            pos = self._walk(data, pos)
        except UnicodeDecodeError:
            raise MalformedFrame("Malformed message: a text in it is not UTF-8") from None
        if not self._levels and not self._skip and pos < len(data):
            raise MalformedFrame("Malformed message: bytes after the second map")
        self._rest = data[pos:]

    def _begin(self, data: bytes) -> int:
        """Read the envelope, which the first chunk holds whole, and open the body."""
        try:
            main, pos = read_envelope(data)
        except (ValueError, TypeError, IndexError, msgpack.UnpackException):
            raise MalformedFrame("Malformed message: its first chunk must begin with the envelope") from None
        if not ENVELOPE_KEYS.issuperset(main):
            raise MalformedFrame("Malformed message: a key of its envelope is not allowed there")
        self._check_envelope(main)
        self._is_method = main.get("type") == "method"
        self._begun = True
        if pos < len(data):
            size, entries, is_map = self._nested(data, pos)
            if not size or not is_map:
                raise MalformedFrame("Malformed message: its first chunk must reach into the second map")
            self._levels.append(_Level(entries, True, frozenset()))
            pos += size
        return pos

    # -- walking ---------------------------------------------------------------------------------

    def _walk(self, data: bytes, pos: int) -> int:
        """Step over values until the data or the message ends; return where the unread rest begins."""
        end, levels = len(data), self._levels
        self._steps, self._keys, tries = 0, None, 0
        next_try = _STEPS_BEFORE_C
        while True:
            if self._skip:
                step = min(self._skip, end - pos)
                pos, self._skip = pos + step, self._skip - step
                if self._skip:
                    return pos
            while levels and not levels[-1].left:
                levels.pop()
            if not levels or pos >= end:
                return pos
            self._steps += 1
            may_skip = len(levels) > 1 and not (self._wanted or self._is_promise or self._is_seal)
            if self._steps >= next_try and may_skip and tries < _TRIES_OF_C:
                tries += 1
                at = self._step_in_c(data, pos)
                next_try = self._steps + _STEPS_BEFORE_C * (1 if at > pos else 1 << tries)
                if at > pos:
                    pos = at
                    continue
            if self._steps > MAX_STEPS:
                raise TooManyValues(
                    "A message in chunks has too many small values: send bytes or arrays instead"
                )
            at = self._step(data, pos, levels[-1])
            if at < 0:
                return pos
            pos = at

    def _step(self, data: bytes, pos: int, level: _Level) -> int:
        """Step over one value, or into it; -1 if more of it must come first."""
        is_key = level.is_map and not level.left % 2
        if is_key:
            return self._key(data, pos, level)
        if self._wanted:
            read = self._interval if self._wanted in INTERVALS else self._name
            return self._sealed(data, pos, level) if self._wanted in SEALED else read(data, pos, level)
        first = data[pos]
        run = None if level.is_map or level.left < 2 else _RUNS.get(first)
        if run is not None:
            pattern, size = run
            found = pattern.match(data, pos, min(len(data), pos + size * level.left))
            count = (found.end() - pos) // size if found else 0
            if count:
                level.left -= count
                return pos + count * size
        return self._value(data, pos, level)

    def _value(self, data: bytes, pos: int, level: _Level) -> int:
        first = data[pos]
        size, begin = _extent(data, pos, first)
        if size >= 0:
            level.left -= 1
            self._skip = size
            return begin
        if first in _NESTED or 0x80 <= first < 0xA0:
            header, entries, is_map = self._nested(data, pos)
            if not header:
                return -1
            level.left -= 1
            if len(self._levels) >= MAX_DEPTH:
                raise MalformedFrame(f"Malformed message: nested deeper than {MAX_DEPTH} levels")
            barred = frozenset((SERVICES,)) if self._is_promise else frozenset[str]()
            self._levels.append(_Level(entries, is_map, barred))
            return pos + header
        if first == 0xC1:
            raise MalformedFrame("Malformed message: unknown type byte")
        return -1

    @staticmethod
    def _nested(data: bytes, pos: int) -> tuple[int, int, bool]:
        """Bytes of the header of a list or map (0: more must come), values in it, and whether it is a map."""
        first = data[pos]
        if first & 0xF0 == 0x80:
            return 1, 2 * (first & 0x0F), True
        if first & 0xF0 == 0x90:
            return 1, first & 0x0F, False
        if first not in _NESTED:
            return 0, 0, False
        width, is_map = _NESTED[first]
        if pos + 1 + width > len(data):
            return 0, 0, is_map
        entries = int.from_bytes(data[pos + 1 : pos + 1 + width], "big")
        return 1 + width, entries * (2 if is_map else 1), is_map

    def _step_in_c(self, data: bytes, pos: int) -> int:
        """Step over whole values of the open lists and maps up to the next function; how far it came."""
        if self._keys is None:
            self._keys = places_of_keys(data)
        following = bisect_left(self._keys, pos)
        end = self._keys[following] if following < len(self._keys) else len(data)
        if end - pos < _MIN_BYTES_FOR_C:
            return pos
        part = data[pos:end]
        unpacker = msgpack.Unpacker(max_buffer_size=len(part) + 1, read_size=len(part), **_ANY_LENGTH)
        unpacker.feed(part)
        skip, tell, levels, done = unpacker.skip, unpacker.tell, self._levels, 0
        try:
            while len(levels) > 1:
                level = levels[-1]
                while level.left:
                    skip()
                    done = tell()
                    level.left -= 1
                levels.pop()
        except msgpack.OutOfData:
            pass
        except (ValueError, msgpack.UnpackException):
            raise MalformedFrame("Malformed message: it cannot be decoded") from None
        return pos + done

    # -- keys and names --------------------------------------------------------------------------

    def _key(self, data: bytes, pos: int, level: _Level) -> int:
        is_top = len(self._levels) == 1
        size, begin = _text_extent(data, pos)
        if size < 0 or size > _MAX_KEY_BYTES:
            if begin < 0:
                return -1
            if is_top:
                raise MalformedFrame("Malformed message: keys must be short texts")
            return self._value(data, pos, level)
        if begin + size > len(data):
            return -1
        key = data[begin : begin + size].decode("utf-8", "surrogatepass")
        level.left -= 1
        if is_top:
            self._check_top(key)
        elif key == TARGET or key in METHODS:
            self._wanted = key
        elif self._is_promise and key in INTERVALS:
            self._wanted = key
        elif self._is_seal and key in SEALED:
            self._wanted = key
        return begin + size

    def _check_top(self, key: str) -> None:
        is_fit = key in METHOD_BODY_KEYS if self._is_method else key not in ENVELOPE_KEYS
        if not is_fit or key in self._seen:
            raise MalformedFrame(f"Malformed message: key {key[:40]!r} is not allowed here")
        self._seen.add(key)
        self._is_promise = self._is_method and key == "promise"
        self._is_seal = self._is_method and key == "_enc"
        if self._is_method and key in SEALED:
            self._wanted = key
        if self._is_method and key in INTERVALS:
            self._wanted = key

    def _interval(self, data: bytes, pos: int, level: _Level) -> int:
        """Read how often to send heartbeats."""
        first = data[pos]
        size = 1 if first < 0x80 or first >= 0xE0 else _FIXED.get(first, 0) if first < 0xD4 else 0
        if not size:
            raise MalformedFrame(f"Malformed message: {self._wanted} must be a number")
        if pos + size > len(data):
            return -1
        checked_interval(msgpack.unpackb(data[pos : pos + size]))
        level.left -= 1
        self._wanted = ""
        return pos + size

    def _sealed(self, data: bytes, pos: int, level: _Level) -> int:
        """Step over bytes: of anything else the library would make bytes, of a number as many as it says."""
        if data[pos] not in _BINARY:
            raise MalformedFrame("Malformed message: an encrypted body, its key and its nonce are bytes")
        at = self._value(data, pos, level)
        self._wanted = self._wanted if at < 0 else ""
        return at

    def _name(self, data: bytes, pos: int, level: _Level) -> int:
        """Read whom a function names, or what its method is."""
        size, begin = _text_extent(data, pos)
        if begin < 0:
            return -1
        if size < 0 and self._wanted != TARGET:
            self._wanted = ""
            return self._value(data, pos, level)  # what is no text is no method either
        if not 0 <= size <= _MAX_NAME_BYTES:
            raise MalformedFrame(f"Malformed message: {self._wanted} must be a short text")
        if begin + size > len(data):
            return -1
        text = data[begin : begin + size].decode("utf-8", "surrogatepass")
        level.left -= 1
        wanted, self._wanted = self._wanted, ""
        if wanted == TARGET:
            prefix = self._barred(text)
            if prefix is not None:
                level.barred |= {prefix}
        else:
            level.methods |= {prefix for prefix in (SERVICES, BUILT_IN) if text.startswith(prefix)}
        if "" in level.barred or not level.barred.isdisjoint(level.methods):
            raise ForeignFunction("A function in a message in chunks names somebody else than its sender")
        return begin + size


def _text_extent(data: bytes, pos: int) -> tuple[int, int]:
    """Size and place of a text; size -1 for what is none, place -1 if more must come."""
    first = data[pos]
    if 0xA0 <= first < 0xC0:
        return first & 0x1F, pos + 1
    width = _TEXTS.get(first)
    if width is None:
        return -1, pos
    begin = pos + 1 + width
    if begin > len(data):
        return -1, -1
    return int.from_bytes(data[pos + 1 : begin], "big"), begin


def _extent(data: bytes, pos: int, first: int) -> tuple[int, int]:
    """Bytes of a value without parts, and where they begin; size -1 for others, or if more must come."""
    if first < 0x80 or first >= 0xE0:
        return 0, pos + 1
    if first in _FIXED:
        return _FIXED[first] - 1, pos + 1
    if first in _BYTES:
        width, more = _BYTES[first]
        begin = pos + 1 + width
        if begin > len(data):
            return -1, -1
        return int.from_bytes(data[pos + 1 : begin], "big") + more, begin
    if 0xA0 <= first < 0xC0 or first in _TEXTS:
        size, begin = _text_extent(data, pos)
        return (size, begin) if begin >= 0 else (-1, -1)
    return -1, pos
