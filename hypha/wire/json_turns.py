"""JSON of large values, made in turns.

orjson keeps all other threads waiting while it writes: 0.2 s for four million numbers. So lists and objects
of many values are written a slice at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from hypha.wire.packed import SLICE, TEXT_CHARS, is_plain

PIECE_BYTES = 256 * 1024


def dumps_in_turns(value: Any, default: Callable[[Any], Any], option: int) -> list[bytes]:
    """The JSON of a value, as pieces; for a thread: it lets others run every few thousand values.

    Args:
        default, option: as `orjson.dumps` takes them.

    Raises:
        orjson.JSONEncodeError: it cannot be written.
    """
    writing = _Writing(default, option)
    writing.add(value)
    return writing.pieces()


class _Writing:
    """Writes values one after another; a nested one waits as a tuple until it is its turn."""

    def __init__(self, default: Callable[[Any], Any], option: int) -> None:
        self._default = default
        self._option = option
        self._pieces: list[bytes] = []
        self._small: list[bytes] = []
        self._small_bytes = 0

    def pieces(self) -> list[bytes]:
        """What was written."""
        if self._small:
            self._pieces.append(b"".join(self._small))
            self._small, self._small_bytes = [], 0
        return self._pieces

    def add(self, value: Any) -> None:
        """Write one value."""
        waiting: list[Iterator[bytes | tuple[Any]]] = [iter(((value,),))]
        while waiting:
            for part in waiting[-1]:
                if type(part) is tuple:
                    waiting.append(self._parts(part[0]))
                    break
                self._write(part)  # type: ignore[arg-type]
            else:
                waiting.pop()

    def _write(self, text: bytes) -> None:
        self._small.append(text)
        self._small_bytes += len(text)
        if self._small_bytes >= PIECE_BYTES:
            self.pieces()

    def _dumps(self, value: Any) -> bytes:
        return orjson.dumps(value, self._default, self._option)

    def _parts(self, value: Any) -> Iterator[bytes | tuple[Any]]:
        kind = type(value)
        if kind is str and len(value) > TEXT_CHARS:
            return self._text(value)
        if kind is list and not (len(value) <= SLICE and is_plain(value)):
            return self._list(value)
        if kind is dict and not (len(value) <= SLICE and is_plain(value.values()) and is_plain(value)):
            return self._object(value)
        return iter((self._dumps(value),))

    def _list(self, items: list[Any]) -> Iterator[bytes | tuple[Any]]:
        yield b"["
        for at in range(0, len(items), SLICE):
            part = items[at : at + SLICE]
            if at:
                yield b","
            if is_plain(part):
                yield self._dumps(part)[1:-1]
                continue
            for number, item in enumerate(part):
                if number:
                    yield b","
                yield (item,)
        yield b"]"

    def _object(self, entries: dict[Any, Any]) -> Iterator[bytes | tuple[Any]]:
        yield b"{"
        for number, (name, item) in enumerate(entries.items()):
            text = self._dumps({name: None})[1:-5]  # without the brackets and `null`
            yield b"," + text if number else text
            yield (item,)
        yield b"}"

    def _text(self, text: str) -> Iterator[bytes | tuple[Any]]:
        yield b'"'
        for at in range(0, len(text), TEXT_CHARS):
            yield self._dumps(text[at : at + TEXT_CHARS])[1:-1]
        yield b'"'
