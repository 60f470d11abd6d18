"""The folder of backups: snapshots, and the bytes that they share.

    hypha-backup.json             says what the folder is
    blobs/ab/ab34…                bytes, named by their sha-256, whatever object they are of
    snapshots/20261129T101500Z/   one state of a server
        snapshot.json             facts of it, written last: without it the snapshot does not count
        records.sqlite            the database
        objects.jsonl             one object in each line: key, facts, sha-256
        folder/                   secrets and identity, from the data folder

All of it is as secret as the server's data folder, and readable by its owner alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hypha.errors import ConfigurationError
from hypha.filelock import FileLock, InUse
from hypha.objects.store import ObjectInfo

FORMAT = 1
MARK = "hypha-backup.json"
SNAPSHOT = "snapshot.json"
RECORDS, OBJECTS, FOLDER = "records.sqlite", "objects.jsonl", "folder"
BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """An object of a snapshot; see `ObjectInfo`."""

    key: str
    size: int
    etag: str
    modified: float
    content_type: str
    metadata: dict[str, str]
    sha256: str

    @classmethod
    def of(cls, info: ObjectInfo, sha256: str) -> Entry:
        """What is kept of an object whose bytes have this digest."""
        return cls(
            info.key, info.size, info.etag, info.modified, info.content_type, dict(info.metadata), sha256
        )

    def is_still(self, info: ObjectInfo) -> bool:
        """Whether a list shows the same state of the object."""
        return (self.size, self.etag, self.modified) == (info.size, info.etag, info.modified)


class Snapshot:
    """One state of a server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = read_json(folder / SNAPSHOT)

    @property
    def name(self) -> str:
        """When it was taken, in UTC."""
        return self.folder.name

    def entries(self) -> Iterator[Entry]:
        """Its objects, in the order of their keys."""
        with (self.folder / OBJECTS).open("r", encoding="utf-8") as lines:
            for line in lines:
                yield Entry(**json.loads(line))

    def files(self) -> dict[str, str]:
        """Its own files -> the digest that each must have."""
        found: dict[str, str] = self.facts["files"]
        return found

    def described(self) -> str:
        """In one line, for a person."""
        facts = self.facts
        return (
            f"{self.name}: {facts['objects']:,} files, {facts['bytes']:,} bytes, version {facts['version']}"
        )


class Repository:
    """A folder of backups; `close` it."""

    def __init__(self, folder: Path, lock: FileLock | None) -> None:
        self.folder = folder
        self._lock = lock

    @classmethod
    def open(cls, where: str, *, to_write: bool) -> Repository:
        """Open the folder; one that is empty or not there becomes one.

        Raises:
            ConfigurationError: it is no folder of backups, or another backup goes on there.
        """
        folder = Path(where).expanduser().absolute()
        try:
            if to_write and not (folder / MARK).exists():
                _found(folder)
            if not (folder / MARK).exists():
                raise ConfigurationError(f"{folder} is no folder of backups.")
            if read_json(folder / MARK).get("format") != FORMAT:
                raise ConfigurationError(f"{folder} was written by a newer version.")
            lock = FileLock.take(folder / "lock", "another backup") if to_write else None
        except InUse:
            raise ConfigurationError(f"Another backup into {folder} goes on.") from None
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise ConfigurationError(f"The folder {folder} cannot be used ({reason}).") from None
        return cls(folder, lock)

    def close(self) -> None:
        """Let others write there."""
        if self._lock is not None:
            self._lock.close()

    def snapshots(self) -> list[Snapshot]:
        """Those that are whole, the oldest first."""
        folders = sorted((self.folder / "snapshots").iterdir())
        return [Snapshot(each) for each in folders if (each / SNAPSHOT).exists()]

    def snapshot(self, name: str | None) -> Snapshot:
        """The one of this name; the newest without one.

        Raises:
            ConfigurationError: there is none.
        """
        there = self.snapshots()
        found = [each for each in there if name in (None, each.name)]
        if not found:
            names = ", ".join(each.name for each in there[-5:]) or "none"
            raise ConfigurationError(f"There is no such snapshot in {self.folder}; the newest: {names}.")
        return found[-1]

    def damaged(self, snapshot: Snapshot) -> list[str]:
        """What of a snapshot is missing or has changed since: its own files, and keys of objects."""
        found = [name for name, sha256 in snapshot.files().items() if not _is(snapshot.folder / name, sha256)]
        if OBJECTS in found:
            return found
        good: dict[str, bool] = {}
        for entry in snapshot.entries():
            if entry.sha256 not in good:
                good[entry.sha256] = _is(self.blob(entry.sha256), entry.sha256)
            if not good[entry.sha256]:
                found.append(entry.key)
        return found

    def begin(self) -> Path:
        """A folder for a new snapshot; what is left of those that were not finished goes."""
        for each in (self.folder / "snapshots").iterdir():
            if not (each / SNAPSHOT).exists():
                shutil.rmtree(each)
        shutil.rmtree(self.folder / "drafts")
        (self.folder / "drafts").mkdir(mode=0o700)
        name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        while (self.folder / "snapshots" / name).exists():
            name += "a"
        folder = self.folder / "snapshots" / name
        folder.mkdir(mode=0o700)
        return folder

    def blob(self, sha256: str) -> Path:
        """Where bytes of this digest lie."""
        return self.folder / "blobs" / sha256[:2] / sha256

    def draft(self) -> Draft:
        """Bytes that are to be kept; their digest is known at their end."""
        return Draft(self.folder / "drafts" / secrets.token_hex(8), self)


class Draft:
    """Bytes on their way into the folder."""

    def __init__(self, file: Path, repository: Repository) -> None:
        self._file = file
        self._repository = repository
        self._digest = hashlib.sha256()
        self._out = file.open("xb")

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self._digest.update(data)
        self._out.write(data)

    def keep(self) -> str:
        """Keep what was written; returns its digest. It is on disk then."""
        sha256 = self._digest.hexdigest()
        target = self._repository.blob(sha256)
        self._out.flush()
        os.fsync(self._out.fileno())
        self._out.close()
        if target.exists():
            self._file.unlink()
            return sha256
        target.parent.mkdir(mode=0o700, exist_ok=True)
        self._file.chmod(0o400)
        self._file.rename(target)
        flush_folder(target.parent)
        return sha256

    def drop(self) -> None:
        """Forget what was written."""
        self._out.close()
        self._file.unlink(missing_ok=True)


def write_entries(file: Path, entries: Iterable[Entry]) -> None:
    """Write the list of a snapshot's objects."""
    with file.open("x", encoding="utf-8") as out:
        for entry in entries:
            out.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")


def finish(folder: Path, facts: dict[str, Any]) -> Snapshot:
    """Let a snapshot count, with the digests of its files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {str(path.relative_to(folder)): digest_of(path) for path in files}
    for path in files:
        path.chmod(0o400)
        with path.open("rb") as file:
            os.fsync(file.fileno())
    draft = folder / f"{SNAPSHOT}.draft"
    draft.write_text(json.dumps({"format": FORMAT, **facts, "files": digests}, indent=1) + "\n")
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.rename(folder / SNAPSHOT)
    flush_folder(folder)
    flush_folder(folder.parent)
    return Snapshot(folder)


def digest_of(file: Path) -> str:
    """The sha-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _is(file: Path, sha256: str) -> bool:
    return file.is_file() and digest_of(file) == sha256


def flush_folder(folder: Path) -> None:
    """Let the names in a folder be on disk."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def read_json(file: Path) -> dict[str, Any]:
    """A JSON file that backups write.

    Raises:
        ConfigurationError: it is damaged.
    """
    try:
        found = json.loads(file.read_text("utf-8"))
        assert isinstance(found, dict)
    except (ValueError, AssertionError):
        raise ConfigurationError(f"{file} is damaged.") from None
    return found


def _found(folder: Path) -> None:
    """Make a folder one of backups."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ConfigurationError(f"{folder} is neither empty nor a folder of backups: name another one.")
    folder.chmod(0o700)
    for name in ("blobs", "snapshots", "drafts"):
        (folder / name).mkdir(mode=0o700)
    draft = folder / f"{MARK}.draft"
    draft.write_text(json.dumps({"format": FORMAT}) + "\n")
    draft.rename(folder / MARK)
