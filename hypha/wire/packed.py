"""Large values are packed in turns, and may go on as bytes.

msgpack keeps all other threads waiting while it packs: 0.2 s for four million numbers. So lists and maps of
many values are packed a slice at a time. What is packed takes a tenth of the memory of the values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import msgpack

from hypha.wire.bounded import MAX_PASSED_VALUES, unpack
from hypha.wire.frames import LIFTED_BYTES, pack

SLICE = 4096
"""Values that are packed at a time."""
TEXT_CHARS = 256 * 1024
"""Of a longer text, so many characters are encoded at a time."""

_CONTAINERS = frozenset({list, dict})
_SLICED = frozenset({list, dict, str, bytes})


def pack_in_turns(value: Any) -> list[bytes]:
    """The msgpack of a value, as pieces; for a thread: it lets others run every few thousand values."""
    packing = _Packing()
    packing.add(iter((value,)))
    return packing.pieces()


class _Packing:
    """Packs values one after another; large bytes and texts are pieces of their own."""

    def __init__(self) -> None:
        self._packer = msgpack.Packer(autoreset=False, use_bin_type=True)
        self._pieces: list[bytes] = []

    def pieces(self) -> list[bytes]:
        """What was packed."""
        self._flush()
        return self._pieces

    def add(self, values: Iterator[Any]) -> None:
        """Pack values, each with what is in it."""
        waiting = [values]
        while waiting:
            for item in waiting[-1]:
                inner = self._inner(item)
                if inner is not None:
                    waiting.append(inner)
                    break
            else:
                waiting.pop()

    def _inner(self, item: Any) -> Iterator[Any] | None:
        """Pack an item at once, or only its header, and return what is in it."""
        kind = type(item)
        if kind is list:
            if len(item) <= SLICE and is_plain(item):
                self._packer.pack(item)
                return None
            self._packer.pack_array_header(len(item))
            return self.slices(item)
        if kind is dict:
            if len(item) <= SLICE and is_plain(item.values()) and is_plain(item):
                self._packer.pack(item)
                return None
            self._packer.pack_map_header(len(item))
            return (part for entry in item.items() for part in entry)
        if kind is bytes and len(item) >= LIFTED_BYTES:
            self._own_piece(b"\xc6", [item])
        elif kind is str and len(item) >= TEXT_CHARS:
            parts = [item[at : at + TEXT_CHARS].encode() for at in range(0, len(item), TEXT_CHARS)]
            self._own_piece(b"\xdb", parts)
        else:
            self._packer.pack(item)
        return None

    def slices(self, items: Sequence[Any]) -> Iterator[Any]:
        """The items that have to be looked at; the others are packed in slices on the way."""
        for at in range(0, len(items), SLICE):
            part = list(items[at : at + SLICE])
            if len(part) >= 16 and is_plain(part):
                packed = pack(part)
                self._flush()
                self._pieces.append(packed[3:])  # without the header of a list of its own
            else:
                yield from part

    def _own_piece(self, head: bytes, parts: list[bytes]) -> None:
        self._flush()
        self._pieces += [head + sum(map(len, parts)).to_bytes(4), *parts]

    def _flush(self) -> None:
        if packed := self._packer.bytes():
            self._pieces.append(packed)
            self._packer.reset()


def is_plain(items: Any) -> bool:
    """Whether none of a few thousand items has a size of its own; short texts and bytes have none."""
    kinds = set(map(type, items))
    if kinds.isdisjoint(_SLICED):
        return True
    if not kinds.isdisjoint(_CONTAINERS):
        return False
    sized = [item for item in items if type(item) is str or type(item) is bytes]
    return sum(map(len, sized)) < TEXT_CHARS


def is_large(value: Any) -> bool:
    """Whether a value is one that should be packed in a thread: many values, or long texts."""
    waiting, values, chars = [value], 0, 0
    while waiting:
        item = waiting.pop()
        kind = type(item)
        if kind is dict:
            values += 2 * len(item)
            if values > SLICE:
                return True
            waiting += item.values()
        elif kind is list:
            values += len(item)
            if values > SLICE:
                return True
            waiting += item
        elif kind is str:
            chars += len(item)
    return chars > TEXT_CHARS


class PackedList(Sequence[Any]):
    """The arguments of a call, packed already; readable like the list that they are."""

    def __init__(self, items: Sequence[Any]) -> None:
        packing = _Packing()
        packing.add(packing.slices(items))
        self.pieces = packing.pieces()
        self._count = len(items)

    @property
    def size_bytes(self) -> int:
        """Length of the packed arguments."""
        return sum(map(len, self.pieces))

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Any: ...

    @overload
    def __getitem__(self, at: slice) -> list[Any]: ...

    def __getitem__(self, at: int | slice) -> Any:
        head = msgpack.Packer().pack_array_header(self._count)
        return unpack(b"".join((head, *self.pieces)), MAX_PASSED_VALUES)[at]


class PackedMap(Mapping[str, Any]):
    """The named arguments of a call, packed already; readable like the map that they are."""

    def __init__(self, entries: Mapping[str, Any]) -> None:
        self.pieces = pack_in_turns(entries)
        self._count = len(entries)

    @property
    def size_bytes(self) -> int:
        """Length of the packed arguments."""
        return sum(map(len, self.pieces))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, key: str) -> Any:
        return self._unpacked()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._unpacked())

    def _unpacked(self) -> dict[str, Any]:
        found: dict[str, Any] = unpack(b"".join(self.pieces), MAX_PASSED_VALUES)
        return found


def pack_call(args: PackedList, kwargs: Mapping[str, Any] | None, rest: Mapping[str, Any]) -> list[bytes]:
    """The body of a call with packed arguments, as pieces; `rest` are the fields beside them."""
    named: list[bytes] = []
    if kwargs:
        named = kwargs.pieces if isinstance(kwargs, PackedMap) else [pack(dict(kwargs))]
    fields = {"with_kwargs": True, **rest} if kwargs else dict(rest)
    packer = msgpack.Packer()
    head = packer.pack_map_header(len(fields) + 1) + packer.pack("args")
    count = packer.pack_array_header(len(args) + bool(kwargs))
    tail = b"".join(part for entry in fields.items() for part in map(pack, entry))
    return [head, count, *args.pieces, *named, tail]
