"""Locks between workers on one machine: many may use an environment, one alone makes or deletes it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from pathlib import Path

_LOOK_S = 0.1
"""Between two tries for a lock that another holds."""


class FileLock:
    """A lock on a file, which ends with its process. Not to be shared: each user has one of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    async def take(self, *, shared: bool) -> None:
        """Wait until it is ours; whoever waits bounds the time."""
        while not self.try_take(shared=shared):  # noqa: ASYNC110 - another process lets go
            await asyncio.sleep(_LOOK_S)

    def try_take(self, *, shared: bool) -> bool:
        """Take it if that can be done at once."""
        file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        if not self._is_current(file):  # deleted, with its environment, while it was opened
            os.close(file)
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Let others have it; a second time does nothing."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def delete(self) -> None:
        """Take the file away and let go of it: for who has it alone."""
        self._path.unlink(missing_ok=True)
        self.release()

    def _is_current(self, file: int) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(file), os.stat(self._path))
        return False
