"""Messages that hold large values are packed and opened without copying those values.

A copy of 64 MiB takes some 40 ms, most of it for new memory, and all other work of the server waits
meanwhile. Joining `bytes` is the one copy for which Python lets other threads run.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, overload

import msgpack

from hypha.errors import MalformedFrame, TooManyValues
from hypha.wire.bounded import MAX_VALUES
from hypha.wire.frames import (
    LIFTED_BYTES,
    MAX_WALKED_VALUES,
    METHOD_BODY_KEYS,
    decode_body,
    is_answer,
    map_entries,
    pack,
    read_envelope,
    walk,
)

_MAX_LOOKED_AT = 1000
_LIFTED_EXT = 127
_EXT_HEAD = bytes((0xC7, 12, _LIFTED_EXT))
_BIN_HEAD_BYTES = 5


class Pieces(Sequence[int]):
    """Bytes that lie in several pieces, readable like one `bytes`."""

    __slots__ = ("_ends", "_pieces")

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._ends = list(accumulate(map(len, pieces)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, at: int) -> int: ...

    @overload
    def __getitem__(self, at: slice) -> bytes: ...

    def __getitem__(self, at: int | slice) -> int | bytes:
        if isinstance(at, slice):
            begin, end, _ = at.indices(len(self))
            return b"".join(self.cut(begin, end))
        number = bisect_right(self._ends, at)
        return self._pieces[number][at - self._begin(number)]

    def cut(self, begin: int, end: int) -> list[bytes]:
        """The pieces of a part; whole ones are not copied."""
        found: list[bytes] = []
        number = bisect_right(self._ends, begin)
        while begin < end:
            piece, start = self._pieces[number], self._begin(number)
            found.append(piece[begin - start : end - start])
            begin = min(end, self._ends[number])
            number += 1
        return found

    def _begin(self, number: int) -> int:
        return self._ends[number - 1] if number else 0

    def chunks(self, size: int) -> Iterator[bytes]:
        """The bytes in chunks of a size, each made when it is asked for."""
        for begin in range(0, len(self), size):
            yield self[begin : begin + size]


def open_message(
    pieces: Sequence[bytes], max_values: int = MAX_VALUES
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check and unpack a large message for the server itself: its envelope and its body.

    It may run in a thread of its own. Only messages with very many values hold up the others then.

    Raises:
        MalformedFrame: see `EnvelopeParser.parse`. TooManyValues: it holds more than `max_values`.
    """
    data = Pieces(pieces)
    try:
        main, head, _, large = walk(data, MAX_WALKED_VALUES, dense_bytes=0)
    except TooManyValues:
        return _open_dense(data, max_values)
    lifted: list[bytes] = []
    rest: list[bytes] = []
    at, mark = head, os.urandom(8)
    for begin, size in large:
        rest += [*data.cut(at, begin), _place_of(mark, len(lifted))]
        at = begin + size
        lifted.append(b"".join(data.cut(begin + _BIN_HEAD_BYTES, at)))
    rest += data.cut(at, len(data))

    def put_back(code: int, content: bytes) -> Any:
        if code == _LIFTED_EXT and content[:8] == mark:
            return lifted[int.from_bytes(content[8:])]
        return msgpack.ExtType(code, content)

    if head == len(data):
        return main, {}
    return main, decode_body(b"".join(rest), 0, max_values, put_back, any_keys=is_answer(main))


def _open_dense(data: Pieces, max_values: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Unpack a message of so many values that they are checked by the way."""
    main, head = read_envelope(data)
    packed = data[head:]
    body = decode_body(packed, 0, max_values, any_keys=is_answer(main))
    if len(body) != map_entries(packed):
        raise MalformedFrame("Malformed frame: duplicate keys")
    strangers = body.keys() - METHOD_BODY_KEYS.keys()
    if strangers:
        raise MalformedFrame(f"Malformed frame: key {str(strangers.pop())[:40]!r} is not allowed here")
    return main, body


def pack_pieces(value: Any) -> list[bytes]:
    """The msgpack of a value; its large bytes are pieces of the list and not copied."""
    if not _holds_large(value):
        return [pack(value)]
    mark = os.urandom(8)
    large: list[bytes] = []

    def lift(item: Any) -> Any:
        kind = type(item)
        if kind is bytes and len(item) >= LIFTED_BYTES:
            large.append(item)
            return msgpack.ExtType(_LIFTED_EXT, mark + (len(large) - 1).to_bytes(4))
        if kind is dict:
            return {key: lift(inner) for key, inner in item.items()}
        return [lift(inner) for inner in item] if kind is list else item

    packed = pack(lift(value))
    pieces, at = [], 0
    for number, item in enumerate(large):
        place = _place_of(mark, number)
        begin = packed.index(place, at)
        pieces += [packed[at:begin] + b"\xc6" + len(item).to_bytes(4), item]
        at = begin + len(place)
    return [*pieces, packed[at:]]


def _place_of(mark: bytes, number: int) -> bytes:
    """What stands in the message for a lifted value; `mark` is random, so that nobody can forge it."""
    return _EXT_HEAD + mark + number.to_bytes(4)


def _holds_large(value: Any) -> bool:
    """Whether large bytes are among its first values: what holds many is packed in one go."""
    waiting: list[Any] = [(value,)]
    looks = _MAX_LOOKED_AT
    while waiting:
        for item in waiting.pop():
            looks -= 1
            if looks < 0:
                return False
            kind = type(item)
            if kind is dict:
                waiting.append(item.values())
            elif kind is list:
                waiting.append(item)
            elif kind is bytes and len(item) >= LIFTED_BYTES:
                return True
    return False
