"""A lock that a process holds by an open file; it ends with the process, however that ends."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, Any, Self


class InUse(OSError):
    """Another process, or another opening of the file, holds the lock.

    `holder` says who, for a person.
    """

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


class FileLock:
    """The lock on one file, which tells others who holds it."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    @classmethod
    def take(cls, path: Path, url: str) -> Self:
        """Lock a file without waiting; it is made if it isn't there. `url` is the address of the holder.

        Raises:
            InUse: it is locked. OSError: it cannot be made or opened.
        """
        stream = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
        try:
            _lock(stream)
        except OSError:
            holder = _holder(stream.read())
            stream.close()
            raise InUse(holder) from None
        stream.truncate(0)
        json.dump({"pid": os.getpid(), "url": url}, stream)
        stream.flush()
        return cls(stream)

    @staticmethod
    def holder(path: Path) -> str | None:
        """Who holds the lock on an existing file; None if nobody does, or if we may not look."""
        try:
            with open(path, "r+") as stream:
                try:
                    _lock(stream)
                except OSError:
                    return _holder(stream.read())
        except OSError:
            pass
        return None

    def close(self) -> None:
        """Give the lock back."""
        self._stream.close()


def _holder(text: str) -> str:
    try:
        record = json.loads(text)
        return f"the server at {record['url']} (process {record['pid']})"
    except (ValueError, KeyError, TypeError):
        return "another server"


def _lock(stream: IO[str]) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        windows: Any = msvcrt
        stream.seek(1_000_000)  # beyond the text, which others shall be able to read
        windows.locking(stream.fileno(), windows.LK_NBLCK, 1)
        stream.seek(0)
    else:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
