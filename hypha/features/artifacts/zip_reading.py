"""Members of zip archives as objects that are read whole or in part, and are never in memory as a whole."""

from __future__ import annotations

import mimetypes
import zlib
from collections.abc import AsyncIterator
from functools import partial

from hypha.errors import VersionConflict
from hypha.features.artifacts.zip_directory import (
    LOCAL_BYTES,
    STORED,
    Entry,
    InvalidZip,
    Place,
    content_start,
)
from hypha.features.artifacts.zip_index import Work
from hypha.objects.store import DEFAULT_TYPE, ObjectInfo, ObjectStore, Reading

_PIECE_BYTES = 1024 * 1024
_WINDOW = -15
"""Of deflated members: without a header of their own."""


class Member:
    """One member of an archive, which is read as objects of a store are.

    `work` runs a job beside the event loop, within the reader's share.
    """

    def __init__(
        self, store: ObjectStore, archive: ObjectInfo, place: Place, entry: Entry, work: Work
    ) -> None:
        entry.check_readable()
        self._store, self._archive, self._place, self._entry, self._work = store, archive, place, entry, work
        name = entry.path.rpartition("/")[2]
        self.info = ObjectInfo(
            name,
            entry.size,
            f"{archive.etag}-{entry.offset:x}-{entry.crc:08x}",
            entry.modified,
            mimetypes.guess_type(name)[0] or DEFAULT_TYPE,
        )

    async def head(self, key: str) -> ObjectInfo:
        """What is known of it."""
        return self.info

    async def open(self, key: str, start: int = 0, stop: int | None = None) -> Reading:
        """Open it, or a range of it.

        Raises:
            InvalidZip: it is not where the directory says. VersionConflict: the archive was changed.
        """
        begin = await self._begin()
        last = self.info.size if stop is None else stop
        if self._entry.method == STORED:
            inner = await self._opened(begin + start, begin + last)
        else:
            inner = await self._opened(begin, begin + self._entry.packed)
        return _MemberReading(self.info, self._entry, inner, start, last, self._work)

    async def _begin(self) -> int:
        offset = self._place.shift + self._entry.offset
        if offset + LOCAL_BYTES > self._place.start:
            raise InvalidZip("The ZIP is damaged: this file is not where its directory says.")
        local = await self._opened(offset, offset + LOCAL_BYTES)
        try:
            begin = content_start(await local.whole(), offset)
        finally:
            await local.close()
        if begin + self._entry.packed > self._place.start:
            raise InvalidZip("The ZIP is damaged: this file is not where its directory says.")
        return begin

    async def _opened(self, start: int, stop: int) -> Reading:
        reading = await self._store.open(self._archive.key, start, stop)
        if reading.info.etag != self._archive.etag:
            await reading.close()
            raise VersionConflict("The ZIP is being changed: try again later.")
        return reading


class _MemberReading(Reading):
    def __init__(
        self, info: ObjectInfo, entry: Entry, inner: Reading, start: int, stop: int, work: Work
    ) -> None:
        self.info, self.start, self.stop = info, start, stop
        self._entry, self._inner, self._work = entry, inner, work

    def chunks(self) -> AsyncIterator[bytes]:
        """See `Reading`; a member whose bytes are not those that the archive promises breaks off."""
        return self._inner.chunks() if self._entry.method == STORED else self._inflated()

    async def _inflated(self) -> AsyncIterator[bytes]:
        at, crc, held = 0, 0, b""
        async for piece in self._pieces():
            crc = zlib.crc32(piece, crc)
            wanted = piece[max(0, self.start - at) : max(0, self.stop - at)]
            at += len(piece)
            if at > self._entry.size:
                raise InvalidZip("The ZIP is damaged: this file is larger than its directory says.")
            if wanted:
                if held:
                    yield held
                held = wanted
            if at >= self.stop and self.stop < self._entry.size:
                yield held
                return
        if at != self._entry.size or crc != self._entry.crc:
            raise InvalidZip("The ZIP is damaged: this file is not what its directory says.")
        yield held  # only now it is known to be right

    async def _pieces(self) -> AsyncIterator[bytes]:
        """The whole member, unpacked a piece at a time."""
        inflating = zlib.decompressobj(_WINDOW)
        async for packed in self._inner.chunks():
            is_full = True
            while (packed or is_full) and not inflating.eof:
                try:
                    piece: bytes = await self._work(partial(inflating.decompress, packed, _PIECE_BYTES))
                except zlib.error:
                    raise InvalidZip("The ZIP is damaged: this file cannot be unpacked.") from None
                packed, is_full = inflating.unconsumed_tail, len(piece) == _PIECE_BYTES
                yield piece

    async def close(self) -> None:
        """Give back what is held."""
        await self._inner.close()
