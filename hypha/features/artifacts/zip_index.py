"""Indexes of zip archives: their directories as trees in temporary databases, kept for the next reader.

A database keeps 2 MiB in memory and the rest in a temporary file of the system, so that an archive of
millions of files costs disk for a while and no memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from hashlib import blake2b
from threading import Lock
from typing import Any

from hypha.errors import LimitReached, VersionConflict
from hypha.features.artifacts.zip_directory import (
    END_BYTES,
    Entry,
    InvalidZip,
    Place,
    entries_in,
    place_of,
    words_of,
)
from hypha.limits import BoundedMap
from hypha.limits.turns import Turns
from hypha.locks import NamedLocks
from hypha.objects.store import ObjectInfo, ObjectStore

MAX_DIRECTORY_BYTES = 1024 * 1024 * 1024
MAX_NODES = 8_000_000
"""Files and folders of one archive."""
MAX_KEPT = 64
"""Indexes that are kept."""
MAX_KEPT_BYTES = 2 * 1024 * 1024 * 1024
"""What their databases have together."""
MAX_MADE_AT_ONCE = 64
"""Indexes in the making; one of each party."""
PAGE = 1000
_PIECE_BYTES = 512 * 1024
_DIGEST_BYTES = 16
_FILE, _FOLDER = 0, 1
_ROOT = 0
_INSERT = f"INSERT OR REPLACE INTO node VALUES ({', '.join('?' * 10)})"

Row = tuple[int, str, int, int]
"""Of what is in a folder: kind, name, size, and when it was changed."""
Work = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a job beside the event loop, within somebody's share."""


class ZipIndex:
    """What is in one archive; its functions belong into a thread.

    Folders are found by digests of their paths, so that no archive costs more because its files lie deep.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.size_bytes = 0
        """Of the database, when all is in it."""
        self._nodes = 0
        self._lock = Lock()
        self._last = "", _ROOT
        self._folders: dict[bytes, int] = {}
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        for statement in (
            "PRAGMA cache_size = -2048",
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
            "CREATE TABLE node (parent, kind, name, offset, packed, size, method, flags, crc, changed, "
            "PRIMARY KEY (parent, kind, name)) WITHOUT ROWID",
            "CREATE TABLE folder (path PRIMARY KEY, id) WITHOUT ROWID",
        ):
            self._database.execute(statement)

    def __del__(self) -> None:
        self._database.close()

    def add(self, entries: Sequence[Entry]) -> None:
        """Put entries into the tree; of two with one path the later one counts, as for everybody else.

        Raises:
            LimitReached: there are too many.
        """
        rows = []
        with self._lock:
            for entry in entries:
                path, _, name = entry.path.rpartition("/")
                if path != self._last[0]:  # files of a folder mostly stand together
                    self._last = path, self._folder(words_of(path))
                if name in ("", "."):
                    continue
                self._grow()
                rows.append(
                    (self._last[1], _FILE, name, entry.offset, entry.packed, entry.size, entry.method,
                     entry.flags, entry.crc, entry.changed)
                )  # fmt: skip
            self._database.executemany(_INSERT, rows)

    def end(self) -> None:
        """All is in it."""
        with self._lock:
            self._folders.clear()
            (pages,), (size,) = (
                self._database.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
            )
        self.size_bytes = pages * size

    def find(self, words: tuple[str, ...]) -> Entry | None:
        """The member at a path."""
        with self._lock:
            folder = self._known(words[:-1])
            if folder is None or not words:
                return None
            row = self._database.execute(
                "SELECT offset, packed, size, method, flags, crc, changed FROM node "
                "WHERE parent = ? AND kind = ? AND name = ?",
                (folder, _FILE, words[-1]),
            ).fetchone()
        return None if row is None else Entry("/".join(words), *row)

    def page(self, words: tuple[str, ...], after: tuple[int, str] = (-1, "")) -> list[Row] | None:
        """Up to `PAGE` of what is in a folder, behind a kind and name: files, then folders, by name.

        Each as `(kind, name, size, changed)`; None if there is no such folder.
        """
        with self._lock:
            folder = self._known(words)
            if folder is None:
                return None
            return self._database.execute(
                "SELECT kind, name, size, changed FROM node WHERE parent = ? AND (kind, name) > (?, ?) "
                "ORDER BY kind, name LIMIT ?",
                (folder, *after, PAGE),
            ).fetchall()

    def _known(self, words: tuple[str, ...]) -> int | None:
        """The folder at a path."""
        return self._folder_of(_digests(words)[-1]) if words else _ROOT

    def _folder(self, words: tuple[str, ...]) -> int:
        """The same, made where it is not there: a look for it, and for each folder that has to be made."""
        digests, found, depth = _digests(words), None, len(words)
        while depth and (found := self._folder_of(digests[depth - 1])) is None:
            depth -= 1
        at = _ROOT if found is None else found
        for name, digest in zip(words[depth:], digests[depth:], strict=True):
            self._grow()
            self._database.execute(_INSERT, (at, _FOLDER, name, 0, 0, 0, 0, 0, 0, 0))
            self._database.execute("INSERT INTO folder VALUES (?, ?)", (digest, self._nodes))
            at = self._remember(digest, self._nodes)
        return at

    def _folder_of(self, digest: bytes) -> int | None:
        found = self._folders.get(digest)
        if found is None:
            row = self._database.execute("SELECT id FROM folder WHERE path = ?", (digest,)).fetchone()
            return None if row is None else self._remember(digest, row[0])
        return found

    def _remember(self, digest: bytes, folder: int) -> int:
        if len(self._folders) >= PAGE:
            self._folders.clear()
        self._folders[digest] = folder
        return folder

    def _grow(self) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise LimitReached(f"A ZIP with more than {MAX_NODES:,} files is not looked into.")


class ZipIndexes:
    """The indexes of the archives that were looked into lately, by their keys and ETags."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._kept: BoundedMap[tuple[str, str], ZipIndex] = BoundedMap(MAX_KEPT_BYTES, _weight)
        self._turns = Turns(MAX_MADE_AT_ONCE, per_party=1)
        self._making = NamedLocks()

    async def of(self, info: ObjectInfo, work: Work) -> ZipIndex:
        """The index of an archive, made once.

        Raises:
            InvalidZip: it is none. LimitReached: it is too large, or the caller works too much.
            VersionConflict: it was changed meanwhile.
        """
        key = info.key, info.etag
        if (found := self._kept.use(key)) is not None:
            return found
        async with self._turns.taken(), self._making.held(info.key):
            if (found := self._kept.use(key)) is not None:
                return found
            index = await self._made(info, work)
            self._kept.put(key, index)
            return index

    async def _made(self, info: ObjectInfo, work: Work) -> ZipIndex:
        place = await self._place(info)
        if place.stop - place.start > MAX_DIRECTORY_BYTES:
            raise LimitReached("The directory of the ZIP is too large to be looked into.")
        index = await work(partial(ZipIndex, place))
        rest, at = b"", place.start
        while at < place.stop:
            stop = min(at + _PIECE_BYTES, place.stop)
            data = rest + await self._read(info, at, stop)
            rest, at = data[await work(partial(_added, index, data)) :], stop
        if rest:
            raise InvalidZip("This is not a ZIP: its directory is damaged.")
        await work(index.end)
        made: ZipIndex = index
        return made

    async def _place(self, info: ObjectInfo) -> Place:
        begin = max(0, info.size - END_BYTES)
        return place_of(await self._read(info, begin, info.size), info.size)

    async def _read(self, info: ObjectInfo, start: int, stop: int) -> bytes:
        reading = await self._store.open(info.key, start, stop)
        try:
            if reading.info.etag != info.etag:
                raise VersionConflict("The ZIP is being changed: try again later.")
            return await reading.whole()
        finally:
            await reading.close()


def _weight(index: ZipIndex) -> int:
    return max(index.size_bytes, MAX_KEPT_BYTES // MAX_KEPT)


def _digests(words: tuple[str, ...]) -> list[bytes]:
    """What folders are known by: the one at a path, behind those that it lies in."""
    digests, last = list[bytes](), b""
    for word in words:
        last = blake2b(last + word.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()
        digests.append(last)
    return digests


def _added(index: ZipIndex, data: bytes) -> int:
    entries, taken = entries_in(data)
    index.add(entries)
    return taken
