"""How much room a store takes for whom, and whether the disk has so much."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hypha.errors import QuotaExceeded, StorageFull

LOOK_EVERY_S = 0.5
"""The free room of the disk is looked at so often."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many objects somebody may have, and their bytes with those of what is not complete yet."""

    count: int
    size_bytes: int


def _unbounded(owner: str) -> Share | None:
    return None


def owner_of(key: str) -> str:
    """The first word of a key, empty for objects that lie in no folder."""
    owner, slash, _ = key.partition("/")
    return owner if slash else ""


class Disk:
    """The disk on which a folder lies, and which must not become full.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.least_free_bytes = 0
        """So much of the disk is left to others."""
        self._folder = folder
        self._clock = clock
        self._looked_at = -LOOK_EVERY_S
        self._free_bytes = 0
        self._has_names = True

    def check(self, size: int, least_free_bytes: int | None = None) -> None:
        """Make sure that the disk has room for so many bytes, and for a file, beside what is left to others.

        Args:
            least_free_bytes: to be left; names and folders take little and may go further than bytes.

        Raises:
            StorageFull: it has not.
        """
        if not self.least_free_bytes:
            return
        now = self._clock()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._free_bytes, self._has_names = _free(self._folder)
        self._free_bytes -= size
        least = self.least_free_bytes if least_free_bytes is None else least_free_bytes
        if self._free_bytes < least or not self._has_names:
            raise StorageFull(
                "The server's disk has no room for more files: nothing was changed. "
                "Delete something, or ask the server's operator for room."
            )


class Room:
    """Counts, from any thread. What is being written counts as it comes, before it is complete.

    Args:
        kept: objects and bytes of each owner to begin with.
        folder: on the disk that must not become full. clock: seconds, monotonic.
    """

    def __init__(
        self,
        kept: Mapping[str, tuple[int, int]],
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.share_of: Callable[[str], Share | None] = _unbounded
        """What an owner may have; None for no bound. Asked on the event loop alone."""
        self.disk = Disk(folder, clock)
        self._kept = {owner: [max(0, counted) for counted in both] for owner, both in kept.items()}
        self._coming: dict[str, int] = {}
        self._lock = threading.Lock()

    def of(self, owner: str) -> tuple[int, int]:
        """Objects of an owner, and their bytes."""
        count, size = self._kept.get(owner, (0, 0))
        return count, size

    def all(self) -> dict[str, tuple[int, int]]:
        """The same of everybody who has something."""
        with self._lock:
            return {owner: (count, size) for owner, (count, size) in self._kept.items() if count or size}

    def take(self, owner: str, size: int, count: int = 0, *, shares_bytes: bool = False) -> None:
        """Count bytes, and objects, that are about to be written; nothing is counted with an error.

        Args:
            shares_bytes: they are on the disk already, as those of another object.

        Raises:
            QuotaExceeded: they are too many, or there are too many objects. StorageFull: the disk is.
        """
        share, (has, kept) = self.share_of(owner), self.of(owner)
        is_many = share is not None and count > 0 and has + count > share.count
        is_much = share is not None and size > 0 and kept + size > share.size_bytes
        if share is not None and (is_many or is_much):
            raise QuotaExceeded(
                f"Workspace {owner} keeps too many files: at most {share.count:,} of {share.size_bytes:,} "
                "bytes together, with what is being written and each part of an upload. Delete some, or ask "
                "the server's operator for more."
            )
        if shares_bytes:
            self.disk.check(0, self.disk.least_free_bytes // 2)
        else:
            self.disk.check(size)
        self.add(owner, count, size)

    def hold(self, owner: str, size: int) -> None:
        """Count bytes that are on their way; `set` leaves them counted, and `release` takes them out.

        Raises:
            QuotaExceeded, StorageFull: see `take`.
        """
        self.take(owner, size)
        with self._lock:
            self._coming[owner] = self._coming.get(owner, 0) + size

    def release(self, owner: str, size: int) -> None:
        """Bytes have come, or will not come any more: what is there of them is for others to count."""
        with self._lock:
            self._coming[owner] = self._coming.get(owner, 0) - size
            if self._coming[owner] <= 0:
                del self._coming[owner]
        self.add(owner, 0, -size)

    def set(self, owner: str, count: int, size: int) -> None:
        """So much was found to be there; what is on its way counts beside it."""
        with self._lock:
            self._keep(owner, count, size + self._coming.get(owner, 0))

    def add(self, owner: str, count: int, size: int) -> None:
        """Count what is there already or, with negative numbers, what is gone.

        Nobody has less than nothing: what was never counted is not taken from what comes later.
        """
        with self._lock:
            has, kept = self.of(owner)
            self._keep(owner, max(0, has + count), max(0, kept + size))

    def _keep(self, owner: str, count: int, size: int) -> None:
        if count or size:
            self._kept[owner] = [count, size]
        else:
            self._kept.pop(owner, None)


def _free(folder: Path) -> tuple[int, bool]:
    """Free bytes of a disk, and whether more than one in a hundred of the files that it can have is free."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize, not found.f_files or found.f_favail * 100 > found.f_files
