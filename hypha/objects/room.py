"""How much room a store takes for whom: objects and bytes by the first word of their keys."""

from __future__ import annotations

import shutil
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
        self.least_free_bytes = 0
        """So much of the disk is left to others."""
        self._kept = {owner: list(counted) for owner, counted in kept.items()}
        self._lock = threading.Lock()
        self._folder = folder
        self._clock = clock
        self._looked_at = -LOOK_EVERY_S
        self._free_bytes = 0

    def of(self, owner: str) -> tuple[int, int]:
        """Objects of an owner, and their bytes."""
        count, size = self._kept.get(owner, (0, 0))
        return max(0, count), max(0, size)

    def all(self) -> dict[str, tuple[int, int]]:
        """The same of everybody who has something."""
        with self._lock:
            return {owner: (count, size) for owner, (count, size) in self._kept.items() if count or size}

    def take(self, owner: str, size: int) -> None:
        """Count bytes that are about to be written; nothing is counted with an error.

        Raises:
            QuotaExceeded: they are too many, or there are too many objects. StorageFull: the disk is.
        """
        share = self.share_of(owner)
        count, kept = self.of(owner)
        if share is not None and (count >= share.count or kept + size > share.size_bytes):
            raise QuotaExceeded(
                f"Workspace {owner} keeps too many files: at most {share.count:,} of {share.size_bytes:,} "
                "bytes together, with what is being written. Delete some, or ask the server's operator for "
                "more."
            )
        self._check_disk(size)
        self.add(owner, 0, size)

    def add(self, owner: str, count: int, size: int) -> None:
        """Count what is there already or, with negative numbers, what is gone."""
        with self._lock:
            kept = self._kept.setdefault(owner, [0, 0])
            kept[0] += count
            kept[1] += size
            if kept == [0, 0]:
                del self._kept[owner]

    def _check_disk(self, size: int) -> None:
        if not self.least_free_bytes:
            return
        now = self._clock()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at, self._free_bytes = now, shutil.disk_usage(self._folder).free
        self._free_bytes -= size
        if self._free_bytes < self.least_free_bytes:
            raise StorageFull(
                "The server's disk has no room for more files: nothing was changed. "
                "Delete something, or ask the server's operator for room."
            )
