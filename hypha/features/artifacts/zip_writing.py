"""Zip archives of committed files, made as they are read, whole or from any byte on."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator, Sequence

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
_DIRECTORY_PIECE = 64 * 1024

Checksums = BoundedMap[str, int]
"""Checksums of files by their keys. Committed bytes never change, so these stay right."""


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
        has_directory = stop > self._begins[-1]
        for key, member, begin in zip(self._keys, self._members, self._begins, strict=False):
            head = local_header(member)
            at = begin + len(head)
            end = at + member.size + len(descriptor(member, 0))
            if begin >= stop:
                return
            crc = 0
            if has_directory or end > start:
                if piece := _cut(head, begin, start, stop):
                    yield piece
                async for piece in self._content(key, member.size, start - at, stop - at):
                    yield piece
                if at + member.size >= stop:
                    return
                crc = self._checksums.get(key) or 0
                if piece := _cut(descriptor(member, crc), at + member.size, start, stop):
                    yield piece
            crcs.append(crc)
        at = self._begins[-1]
        for piece in self._directory(crcs):
            if wanted := _cut(piece, at, start, stop):
                yield wanted
            at += len(piece)

    async def _content(self, key: str, size: int, start: int, stop: int) -> AsyncIterator[bytes]:
        """What of a file lies in a range that is counted from its begin; its checksum is known afterwards.

        Until then all of it is read, unless its end is not asked for.
        """
        is_known = key in self._checksums
        first, last = (min(max(0, each), size) for each in (start, stop))
        if is_known and first >= last:
            return
        at, crc = first if is_known else 0, 0
        reading = await self._store.open(key, at, last if is_known else size)
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
            self._checksums.put(key, crc)

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
