"""Zip archives of committed files, made as they are read, whole or from any byte on."""

from __future__ import annotations

import asyncio
import zlib
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from hypha.features.artifacts.file_records import File
from hypha.features.artifacts.zips import (
    Member,
    central_header,
    descriptor,
    end_of,
    length_of,
    local_header,
    offsets,
)  # fmt: skip
from hypha.limits import BoundedMap
from hypha.objects.store import ObjectStore

KEPT_CHECKSUMS = 50_000
SKIPPED_AT_ONCE = 2000
"""Members that are passed over in a turn of the event loop."""
_DIRECTORY_PIECE = 64 * 1024

Checksums = BoundedMap[str, int]
"""Checksums of files by their keys. Committed bytes never change, so these stay right."""


@dataclass(slots=True)
class _Content:
    """The file of a member, and its checksum once that is known."""

    key: str
    crc: int | None


class Archive:
    """An archive of files in the order given, of `size` bytes.

    Its directory, at the end, holds the checksums of all files. Those that were read before are in
    `checksums`: so a download that broke off goes on without reading again what it has.
    """

    def __init__(self, store: ObjectStore, folder: str, files: Sequence[File], checksums: Checksums) -> None:
        self._store, self._checksums = store, checksums
        self._keys = [file.key(folder) for file in files]
        self._members = [Member(file.path, file.size, file.modified) for file in files]
        self._begins = list(offsets(self._members))
        self.size = length_of(self._members)

    async def pieces(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to but not including `stop`."""
        crcs: list[int] = []
        begins, has_directory = self._begins, stop > self._begins[-1]
        first = 0 if has_directory else max(0, bisect_right(begins, start) - 1)
        for number in range(first, len(self._members)):
            if begins[number] >= stop:
                return
            if number % SKIPPED_AT_ONCE == 0:
                await asyncio.sleep(0)
            # looked up once: meanwhile others may push it out
            content = _Content(self._keys[number], self._checksums.use(self._keys[number]))
            if begins[number + 1] > start or content.crc is None:
                async for piece in self._member(number, content, start, stop):
                    yield piece
            crcs.append(content.crc or 0)
        at = begins[-1]
        if stop <= at:
            return
        for piece in self._directory(crcs):
            if wanted := _cut(piece, at, start, stop):
                yield wanted
            else:
                await asyncio.sleep(0)
            at += len(piece)

    async def _member(self, number: int, content: _Content, start: int, stop: int) -> AsyncIterator[bytes]:
        """What of a member lies in the range; its checksum is known afterwards, unless that ends before."""
        member, begin = self._members[number], self._begins[number]
        head = local_header(member)
        if piece := _cut(head, begin, start, stop):
            yield piece
        at = begin + len(head)
        async for piece in self._bytes_of(content, member.size, start - at, stop - at):
            yield piece
        at += member.size
        if content.crc is not None and (piece := _cut(descriptor(member, content.crc), at, start, stop)):
            yield piece

    async def _bytes_of(self, content: _Content, size: int, start: int, stop: int) -> AsyncIterator[bytes]:
        """What of a file lies in a range that is counted from its begin.

        Until its checksum is known all of it is read, unless its end is not asked for.
        """
        is_known = content.crc is not None
        first, last = (min(max(0, each), size) for each in (start, stop))
        if is_known and first >= last:
            return
        at, crc = first if is_known else 0, 0
        reading = await self._store.open(content.key, at, last if is_known else size)
        try:
            async for chunk in reading.chunks():
                crc = crc if is_known else zlib.crc32(chunk, crc)
                if wanted := _cut(chunk, at, start, stop):
                    yield wanted
                at += len(chunk)
                if at >= stop and not is_known and stop < size:
                    return
        finally:
            await reading.close()
        if not is_known:
            content.crc = crc
            self._checksums.put(content.key, crc)

    def _directory(self, crcs: Sequence[int]) -> Iterator[bytes]:
        directory, size = bytearray(), 0
        for member, crc, begin in zip(self._members, crcs, self._begins[:-1], strict=True):
            directory += central_header(member, crc, begin)
            if len(directory) > _DIRECTORY_PIECE:
                size += len(directory)
                yield bytes(directory)
                directory.clear()
        yield bytes(directory)
        yield end_of(len(self._members), self._begins[-1], size + len(directory))


def _cut(piece: bytes, at: int, start: int, stop: int) -> bytes:
    """What of a piece, which stands at an offset, lies in a range."""
    return piece[max(0, start - at) : max(0, stop - at)]
