"""Many objects under second names at once: hard links, brought to disk together."""

from __future__ import annotations

import contextlib
import os
import stat as stat_bits
from collections.abc import Sequence
from pathlib import Path

from hypha.errors import ObjectNotFound
from hypha.objects.keys import BESIDE, check_key, names_of
from hypha.objects.local.layout import Layout, sync_folder
from hypha.objects.store import ObjectInfo

LINKED_AT_ONCE = 500
"""In one job of a worker thread; each link is of some microseconds, on a full disk cache."""


class Links:
    """Makes links for one caller: what it has seen of folders counts as long as it works.

    Targets are those of the caller alone: nobody else writes or deletes there meanwhile.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._within: dict[str, bool] = {}
        self._made: dict[str, list[Path]] = {}

    def link(
        self, pairs: Sequence[tuple[str, str]], is_last: bool
    ) -> tuple[list[ObjectInfo | None], int, int]:
        """Link objects; None for each whose target is taken. With the last ones all names reach the disk.

        Returns beside them how many are new, and their bytes.

        Raises:
            ObjectNotFound: a source is not there. InvalidKey: a key is none. OSError.
        """
        found: list[ObjectInfo | None] = []
        try:
            for source, target in pairs:
                found.append(self._linked(check_key(source), check_key(target)))
            if is_last:
                self._sync()
        except BaseException:
            self.drop([target for (_, target), info in zip(pairs, found, strict=False) if info is not None])
            raise
        made = [info.size for info in found if info is not None]
        return found, len(made), sum(made)

    def _sync(self) -> None:
        """Bring the names to disk; the bytes are there."""
        parents: dict[Path, None] = {}
        for folder, made in self._made.items():
            parents[self._layout.root / folder] = None
            parents.update((path.parent, None) for path in made)
        for path in parents:
            sync_folder(path)

    def drop(self, keys: Sequence[str]) -> None:
        """Take links away again."""
        for key in keys:
            self._layout.delete(key)

    def _linked(self, source: str, target: str) -> ObjectInfo | None:
        layout, place = self._layout, "/".join(names_of(target))
        path = layout.root / place
        folder = place.rpartition("/")[0]
        with layout.lock:
            at = self._find(source)
            if folder not in self._made:
                made: list[Path] = []
                self._made[folder] = made
                layout.make_folders(target, made)
            if os.path.lexists(f"{path}{BESIDE}"):
                return None
            try:
                os.link(at, path, follow_symlinks=False)
            except FileExistsError:
                return None
            except FileNotFoundError:
                raise _missing(source) from None
        stat = os.lstat(path)
        if not stat_bits.S_ISREG(stat.st_mode):  # put there by hand between two looks
            with contextlib.suppress(OSError):
                path.unlink()
            raise _missing(source)
        return layout.facts.read(path, place, stat).info(target)

    def _find(self, key: str) -> str:
        """The path of an object."""
        place = "/".join(names_of(key))
        folder = place.rpartition("/")[0]
        if folder not in self._within:
            self._within[folder] = self._layout.is_within(place)
        if self._within[folder]:
            for path in (f"{self._layout.root}/{place}", f"{self._layout.root}/{place}{BESIDE}"):
                with contextlib.suppress(OSError):
                    if stat_bits.S_ISREG(os.lstat(path).st_mode):
                        return path
        raise _missing(key)


def _missing(key: str) -> ObjectNotFound:
    return ObjectNotFound(f"File not found: {key[:200]}")
