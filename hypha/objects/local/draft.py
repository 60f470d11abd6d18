"""A file in the making: it has a name of its own until it is complete and on disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path

from hypha.errors import InvalidKey, StorageFull
from hypha.objects.local.facts import Facts, FactsKeeper

ETAG_CHARS = 32
_FULL = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}
)
FLUSH_BYTES = 32 * 1024 * 1024
"""What is begun to be brought to disk while more comes."""
_COPY_BYTES = 64 * 1024 * 1024
_HASHED_BYTES = 1024 * 1024


class Draft:
    """Bytes are added in worker threads, one call after another; `discard` it in the end, whatever came."""

    def __init__(self, folder: Path, flushers: Executor | None = None) -> None:
        self._flushers = flushers
        self._flushing: Future[None] | None = None
        self._flushed_size = 0
        self.path = folder / secrets.token_hex(12)
        self.size = 0
        self.held = 0
        """Bytes that are counted for it, until it is kept or discarded."""
        self.is_kept = False
        """Whether it has become an object or a part."""
        self._hash = hashlib.sha256()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        self._descriptor: int | None = os.open(self.path, flags, 0o600)

    def write(self, *pieces: bytes) -> None:
        """Add bytes, and take them into the digest."""
        self.digest(pieces)
        self.store(pieces)

    def digest(self, pieces: Sequence[bytes]) -> None:
        """Take bytes into the digest, while or before they are stored."""
        for piece in pieces:
            self._hash.update(piece)

    def store(self, pieces: Sequence[bytes]) -> None:
        """Add bytes that the digest takes in by itself."""
        assert self._descriptor is not None
        size = sum(map(len, pieces))
        done = os.writev(self._descriptor, pieces)
        if done < size:  # the system took a part
            view = memoryview(b"".join(pieces))[done:]
            while view:
                view = view[os.write(self._descriptor, view) :]
        self.size += size
        if self.size - self._flushed_size >= FLUSH_BYTES and self._flushers is not None:
            self._begin_flush(self._flushers)

    def _begin_flush(self, flushers: Executor) -> None:
        """Let the disk work while more bytes come; nobody waits for it before the end."""
        if self._flushing is not None:
            if not self._flushing.done():
                return
            self._flushing.result()
        assert self._descriptor is not None
        self._flushed_size = self.size
        self._flushing = flushers.submit(_flush, os.dup(self._descriptor))

    def append(self, file: Path, *, is_hashed: bool = False) -> None:
        """Add the bytes of another file, without their passing through this process where that can be.

        Args:
            is_hashed: they go into the digest, too.
        """
        assert self._descriptor is not None
        with open(file, "rb") as source:
            if is_hashed:
                while data := source.read(_HASHED_BYTES):
                    self.write(data)
                return
            left = os.fstat(source.fileno()).st_size
            self.size += left
            while left:
                done = _transfer(source.fileno(), self._descriptor, min(left, _COPY_BYTES))
                if not done:
                    raise OSError(errno.EIO, "a part ended early")
                left -= done

    @property
    def sha256(self) -> str:
        """Hex digest of what was written so far; what was appended is in it only where that was asked for."""
        return self._hash.hexdigest()

    def finish(self, facts: Facts, keeper: FactsKeeper) -> Facts:
        """Bring the bytes and their facts to disk; returns the facts with size and time of the file."""
        assert self._descriptor is not None
        facts = facts.of(os.fstat(self._descriptor))
        keeper.attach(self._descriptor, facts)
        self.flush()
        return facts

    def flush(self) -> None:
        """Bring the bytes to disk; nothing can be added after it."""
        assert self._descriptor is not None
        if self._flushing is not None:
            self._flushing.result()  # what failed there is told there alone
        os.fsync(self._descriptor)
        self._close()

    def discard(self) -> None:
        """Close and delete the file, unless it was renamed."""
        self._close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _flush(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _transfer(source: int, target: int, size: int) -> int:
    try:
        return os.copy_file_range(source, target, size)
    except (OSError, AttributeError) as error:
        if isinstance(error, OSError) and error.errno in _FULL - {errno.EPERM}:
            raise
        data = os.read(source, min(size, 1024 * 1024))
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]
        return len(data)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Say what a fault of the disk means."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP, errno.EILSEQ):
            raise InvalidKey("The path of the file cannot be written on the server's disk.") from error
        if error.errno in _FULL:
            raise StorageFull(
                "The server's disk is full or cannot be written: nothing was changed. "
                "Delete something, or ask the server's operator for room."
            ) from error
        raise
