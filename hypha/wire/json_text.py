"""JSON from strangers: counted before it is read, and read in pieces when it is large.

orjson keeps all other threads waiting while it reads, up to a second for 20 MB of small values. So what is
larger than a piece is cut at commas between values, and the pieces are put together here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from hypha.ids import random_id
from hypha.wire.bounded import CONTAINER_VALUES, MAX_ENTRIES, MAX_PASSED_VALUES, ValueLimit

QUICK_BYTES = 64 * 1024
"""So much is read in two milliseconds at most; read more in a thread."""
PIECE_BYTES = 64 * 1024
LONG_BYTES = 512 * 1024
"""Strings from this size are read by themselves."""
MAX_DEPTH = 200

_BOM = b"\xef\xbb\xbf"
_BACKSLASHES, _QUOTES = (rb"\\", b"__"), (rb"\"", b"__")
_DIGITS = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))
_LONG = b"0" * 19
_INTEGER = re.compile(rb"(?<![\w.+-])-?[0-9]{19,}+(?![.eE])")
_BRACKETS = re.compile(rb"[\[\]{}]")
_NO_NUMBER = re.compile(rb"[+-]?(NaN|nan|Infinity|inf)")
_ESCAPED = re.compile(
    rb"(?:[^\\]++|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4}|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\[^u])*+",
    re.DOTALL,
)
_LONGEST_ESCAPE = 12
_OBJECT = 0x7B
_CLOSING = {0x5B: 0x5D, _OBJECT: 0x7D}
_SPACE = b" \t\r\n"


class NotJson(ValueError):
    """The text is no JSON; the sentence says why, and where."""


class Inexact(NotJson):
    """It is JSON, but would change its meaning: an integer above 64 bits, a name that comes twice."""


def loads(text: bytes, max_values: int = MAX_PASSED_VALUES) -> Any:
    """Read one JSON value. Texts above `QUICK_BYTES` are for a thread: they are read in pieces.

    Raises:
        NotJson: it is no JSON in UTF-8. Inexact: an object has a name twice, or an integer over 64 bits.
        ValueLimit: it holds more than `max_values` values, counted as in msgpack (`hypha.wire.bounded`).
    """
    text = text.removeprefix(_BOM)
    if len(text) > QUICK_BYTES:
        return _Reading(text, max_values).read()
    if _has_long_number(text):
        _check_integers(_outside(text))
    value = _parse(text, 0)
    colons = text.count(b":")
    if colons and not _has_names(value, colons) and _count_names(value) != colons:
        outside = _outside(text)
        if outside.count(b":") != _count_names(value):
            raise _names_twice()
    return value


def _has_names(value: Any, count: int) -> bool:
    """Whether the two outer levels of a value show that it has so many names: most small ones are so."""
    if type(value) is not dict:
        return False
    found = len(value)
    if found != count:
        for inner in value.values():
            if type(inner) is dict:
                found += len(inner)
    return found == count


def _parse(text: bytes, begin: int) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise NotJson(_why(text, error, begin)) from None


def _why(text: bytes, error: orjson.JSONDecodeError, begin: int) -> str:
    if text[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in text[:4]:
        return "it is UTF-16 or UTF-32; send UTF-8"
    at = len(error.doc[: error.pos].encode("utf-8", "replace")) if error.doc else error.pos
    if _NO_NUMBER.match(text, max(0, at - 1)) or _NO_NUMBER.match(text, at):
        return f"NaN and Infinity are no JSON (byte {begin + at}); send null or MessagePack"
    return f"{error.msg} (byte {begin + at})" if begin else str(error)


def _outside(text: bytes) -> bytes:
    """What stands outside the strings of a whole JSON text."""
    plain = text.replace(*_BACKSLASHES).replace(*_QUOTES)
    return b'"'.join(plain.split(b'"')[::2])


def _has_long_number(text: bytes) -> bool:
    return _LONG in text.translate(_DIGITS)


def _check_integers(outside: bytes) -> None:
    """orjson makes floats of integers that are too long for msgpack, and says nothing."""
    for match in _INTEGER.finditer(outside):
        digits = match[0]
        if len(digits) > 20 or not -(2**63) <= int(digits) < 2**64:
            shown = digits[:40].decode()
            raise Inexact(
                f"the integer {shown} has more than 64 bits; send it as text or, with '.0', a float"
            )


def _count_names(value: Any) -> int:
    """Names of all objects inside a value."""
    found, waiting = 0, [value]
    for item in waiting:  # which grows meanwhile
        if type(item) is dict:
            found += len(item)
            item = item.values()
        elif type(item) is not list:
            continue
        for inner in item:
            if type(inner) is dict or type(inner) is list:
                waiting.append(inner)
    return found


def _names_twice() -> Inexact:
    return Inexact("an object has the same name twice")


@dataclass(slots=True)
class _Piece:
    """A part of the text between two commas.

    `lowest` is the least depth in it, `open_after` what is open behind it, `texts` where what stands
    between the quotes of long strings begins and ends.
    """

    begin: int
    end: int
    lowest: int
    open_after: bytes
    texts: list[tuple[int, int]]


class _Cutter:
    """Counts the values of a text and cuts it at commas outside its strings, in one pass."""

    def __init__(self, text: bytes, max_values: int) -> None:
        self._text = text
        self._max_values = max_values
        self._values = 1
        self.names = 0
        self._open = bytearray()
        self._lowest = 0
        self._outside: list[bytes] = []
        self._in_string = self._is_escaped = False
        self._text_begin = 0
        self._texts: list[tuple[int, int]] = []

    def count(self) -> None:
        """Raise what `pieces` would raise, if the text could have too many values at all."""
        if _most_values(self._text) > self._max_values:
            for _ in _Cutter(self._text, self._max_values).pieces():
                pass

    def pieces(self) -> Iterator[_Piece]:
        """The pieces of the text, in order.

        Raises:
            NotJson: brackets or commas are not where they belong. ValueLimit: there are too many values.
        """
        size = len(self._text)
        begin = at = 0
        while at < size:
            end = min(at + PIECE_BYTES, size)
            comma = self._take(self._text[at:end], at, is_last=end == size)
            at = end if comma is None else at + comma + 1
            if comma is not None:
                yield self._piece(begin, at - 1)
                begin = at
        if self._in_string or self._open:
            raise NotJson("it ends too early")
        yield self._piece(begin, size)

    def _take(self, block: bytes, at: int, *, is_last: bool) -> int | None:
        """Look at one block: all of it, or up to its last comma outside a string, whose place is returned."""
        plain = b"_" + block[1:] if self._is_escaped else block
        plain = plain.replace(*_BACKSLASHES).replace(*_QUOTES)
        parts = plain.split(b'"')
        first = 1 if self._in_string else 0
        comma = None if is_last else _last_comma(parts, first)
        if comma is not None:
            plain = plain[:comma]
            parts = plain.split(b'"')
        outside = b'"' * first + b'"'.join(parts[first::2])
        if first and len(parts) > 1 and at + len(parts[0]) - self._text_begin >= LONG_BYTES:
            self._texts.append((self._text_begin, at + len(parts[0])))
        self._in_string = comma is None and (len(parts) + first) % 2 == 0
        self._is_escaped = comma is None and plain.endswith(b"\\")
        if self._in_string and len(parts) > 1:
            self._text_begin = at + len(plain) - len(parts[-1])
        self._count(outside)
        self._walk(outside)
        self._outside.append(outside)
        return comma

    def _count(self, outside: bytes) -> None:
        containers = outside.count(b"[") + outside.count(b"{")
        empty = outside.count(b"[]") + outside.count(b"{}")
        names = outside.count(b":")
        self.names += names
        self._values += names + outside.count(b",") + (CONTAINER_VALUES + 1) * containers - empty
        if self._values > self._max_values:
            raise ValueLimit(self._max_values)

    def _walk(self, outside: bytes) -> None:
        for match in _BRACKETS.finditer(outside):
            bracket = match[0][0]
            if bracket in _CLOSING:
                self._open.append(bracket)
                if len(self._open) > MAX_DEPTH:
                    raise NotJson(f"it is nested deeper than {MAX_DEPTH} levels")
            elif not self._open or _CLOSING[self._open.pop()] != bracket:
                raise NotJson("its brackets do not match")
            elif len(self._open) < self._lowest:
                self._lowest = len(self._open)

    def _piece(self, begin: int, end: int) -> _Piece:
        outside = b"".join(self._outside).strip(_SPACE)
        self._outside.clear()
        is_cut = end < len(self._text)
        if not outside or (is_cut and (outside[-1] in _CLOSING or not self._open)):
            raise NotJson(f"a comma is out of place (byte {end})" if is_cut else "it ends with a comma")
        if begin and outside[:1] in (b"]", b"}"):
            raise NotJson(f"a comma is out of place (byte {begin - 1})")
        if _has_long_number(outside):
            _check_integers(outside)
        piece = _Piece(begin, end, self._lowest, bytes(self._open), self._texts)
        self._lowest, self._texts = len(self._open), []
        return piece


def _most_values(text: bytes) -> int:
    """More values than this are not in a text, whatever its strings hold."""
    most = 1
    for at in range(0, len(text), PIECE_BYTES):
        block = text[at : at + PIECE_BYTES]
        containers = block.count(b"[") + block.count(b"{")
        most += block.count(b",") + block.count(b":") + (CONTAINER_VALUES + 1) * containers
    return most


def _last_comma(parts: list[bytes], first: int) -> int | None:
    """Place of the last comma in every second part, from the `first`; one byte lies between two parts."""
    at = sum(map(len, parts)) + len(parts)
    for number in range(len(parts) - 1, -1, -1):
        at -= len(parts[number]) + 1
        if number % 2 == first % 2 and (comma := parts[number].rfind(b",")) >= 0:
            return at + comma
    return None


class _Reading:
    """Reads the pieces of a text and puts them together.

    A piece begins and ends anywhere in the nesting. It is read inside the brackets that are open around it;
    what those hold then is added to what is known of the same lists and objects.
    """

    def __init__(self, text: bytes, max_values: int) -> None:
        self._text = text
        self._cutter = _Cutter(text, max_values)
        self._mark = random_id(20)
        self._spine: list[Any] = []
        self._names = 0

    def read(self) -> Any:
        root: Any = None
        opened = b""
        self._cutter.count()
        for number, piece in enumerate(self._cutter.pieces()):
            top = max(piece.lowest - 1, 0)
            value = self._read(piece, opened[top:], piece.open_after[top:])
            if number == 0:
                root = last = value
            else:
                last = self._merge(value, top, opened[top:])
            del self._spine[piece.lowest :]
            self._follow(last, piece.open_after[piece.lowest :])
            opened = piece.open_after
        if self._names != self._cutter.names:
            raise _names_twice()
        return root

    def _read(self, piece: _Piece, around: bytes, open_after: bytes) -> Any:
        """The value of a piece inside the brackets around it; what goes on comes first in each."""
        head = bytearray()
        for number, bracket in enumerate(around, 1):
            head.append(bracket)
            if bracket == _OBJECT and number < len(around):
                head += f'"{self._mark}":'.encode()
                self._names -= 1
        tail = bytes(_CLOSING[bracket] for bracket in reversed(open_after))
        parts, at = [bytes(head)], piece.begin
        for number, (begin, end) in enumerate(piece.texts):
            parts += [self._text[at:begin], f"{self._mark}:{number}".encode()]
            at = end
        value = _parse(b"".join((*parts, self._text[at : piece.end], tail)), piece.begin)
        self._names += _count_names(value)
        return self._put_back(value, piece.texts) if piece.texts else value

    def _put_back(self, value: Any, texts: list[tuple[int, int]]) -> Any:
        """The value with its long strings in place of what stood for them."""
        left = {f"{self._mark}:{number}": place for number, place in enumerate(texts)}
        holder = [value]
        waiting: list[Any] = [holder]
        while waiting:
            item = waiting.pop()
            for key, inner in list(item.items() if type(item) is dict else enumerate(item)):
                if type(inner) is str and inner in left:
                    item[key] = _long_text(self._text, *left.pop(inner))
                elif type(inner) is dict or type(inner) is list:
                    waiting.append(inner)
        if left:
            raise NotJson(f"the name of an entry is longer than {LONG_BYTES:,} bytes")
        return holder[0]

    def _merge(self, value: Any, top: int, around: bytes) -> Any:
        """Add what a piece holds to the lists and objects that go on; returns the last new item of `top`."""
        last: Any = None
        for number, bracket in enumerate(around):
            known, goes_on = self._spine[top + number], number < len(around) - 1
            if type(value) is not type(known) or type(value) is not (dict if bracket == _OBJECT else list):
                raise _names_twice()  # or the last item would be the one that goes on
            inner: Any = None
            if type(value) is dict:
                inner = value.pop(self._mark) if goes_on else None
                size = len(known) + len(value)
                known.update(value)
                if len(known) != size:
                    raise _names_twice()
                if size > MAX_ENTRIES:
                    raise ValueLimit.of_map()
            else:
                inner = value.pop(0) if goes_on else None
                known.extend(value)
            if number == 0 and value:
                last = _last(value)
            value = inner
        return last

    def _follow(self, value: Any, opened: bytes) -> None:
        """Remember the lists and objects that are open, each the last item of the one before."""
        for number in range(len(opened)):
            if number:
                value = _last(value)
            self._spine.append(value)


def _long_text(text: bytes, begin: int, end: int) -> str:
    """What stands between the quotes of a long string, read a slice at a time."""
    slices, at = [], begin
    while at < end:
        cut = min(at + PIECE_BYTES, end)
        if cut < end and b"\\" in text[cut - _LONGEST_ESCAPE : cut]:
            match = _ESCAPED.match(text, at, cut)
            cut = match.end() if match is not None else at
        while at < cut < end and text[cut] & 0xC0 == 0x80:  # inside a character
            cut -= 1
        if cut == at:
            raise NotJson(f"a string holds half of a character (byte {at})")
        slices.append(_parse(b'"' + text[at:cut] + b'"', at))
        at = cut
    return "".join(slices)


def _last(value: Any) -> Any:
    """The last item; None for what has none (only if a name came twice, which is found out later)."""
    if type(value) is dict:
        return next(reversed(value.values()), None)
    return value[-1] if type(value) is list and value else None
