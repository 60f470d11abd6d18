"""Bytes on their way to S3: counted, hashed and bounded as they come."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator

from hypha.errors import Corrupted, FrameTooLarge
from hypha.objects.room import Room, owner_of
from hypha.objects.store import Source

HASHED_AT_ONCE = 256 * 1024
"""Larger pieces are hashed in a thread."""


class Incoming:
    """A source that is read once.

    The last piece comes only when all is as it should be: a storage that gets no end keeps nothing.

    Args:
        sha256, max_bytes: see `ObjectStore.put`.

    Attributes:
        size: of what has come so far; held in the room, for whoever reads to release it.
    """

    def __init__(
        self, source: Source, key: str, room: Room, sha256: str | None = None, max_bytes: int | None = None
    ) -> None:
        self.size = 0
        self._pieces = self._checked(source)
        self._key = key
        self._room = room
        self._sha256 = sha256
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()

    async def beginning(self, size_bytes: int) -> tuple[bytes, bool]:
        """What comes first, about so much, and whether that is all.

        Raises:
            FrameTooLarge, Corrupted, QuotaExceeded. What the source raises.
        """
        waiting: list[bytes] = []
        async for piece in self._pieces:
            waiting.append(piece)
            if self.size >= size_bytes:
                return b"".join(waiting), False
        return b"".join(waiting), True

    async def from_beginning(self, beginning: bytes = b"") -> AsyncIterator[bytes]:
        """All of it, with what was taken already."""
        if beginning:
            yield beginning
        async for piece in self._pieces:
            yield piece

    @property
    def sha256(self) -> str:
        """Of what has come so far, in hex."""
        return self._hash.hexdigest()

    async def _checked(self, source: Source) -> AsyncIterator[bytes]:
        if isinstance(source, AsyncIterable):
            async for piece in source:
                await self._count(piece)
                yield piece
        else:
            await self._count(source)
            yield source
        if self._sha256 is not None and self._sha256.lower() != self.sha256:
            raise Corrupted(f"The bytes that came for {self._key[:200]} have the sha-256 {self.sha256}.")

    async def _count(self, piece: bytes) -> None:
        if self._max_bytes is not None and self.size + len(piece) > self._max_bytes:
            raise FrameTooLarge(f"The file is larger than {self._max_bytes:,} bytes.")
        self._room.hold(owner_of(self._key), len(piece))
        self.size += len(piece)
        if len(piece) > HASHED_AT_ONCE:
            await asyncio.to_thread(self._hash.update, piece)
        else:
            self._hash.update(piece)
