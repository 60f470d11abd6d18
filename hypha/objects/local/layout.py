"""Where objects lie on disk, and the changes of folders that must not cross each other."""

from __future__ import annotations

import contextlib
import errno
import os
import stat as stat_bits
import threading
from collections.abc import Iterator
from pathlib import Path

from hypha.errors import AlreadyExists, ObjectNotFound
from hypha.objects.keys import BESIDE, names_of
from hypha.objects.local.facts import Facts, FactsKeeper

_READ = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK"):  # no link is followed, and no pipe waited for
    _READ |= getattr(os, _flag, 0)


class Layout:
    """The files of one bucket; everything here runs in worker threads.

    Names are looked up and changed under one lock, in which nothing waits for the disk.
    """

    def __init__(self, root: Path, facts: FactsKeeper) -> None:
        self.root = root
        self.facts = facts
        self.lock = threading.Lock()

    def open(self, key: str) -> tuple[int, str, os.stat_result]:
        """Open an object: its descriptor, its place below the root, its state.

        Raises:
            ObjectNotFound: there is none, or what is there is no plain file.
        """
        with self.lock:
            for place in self._places(key):
                try:
                    descriptor = os.open(self.root / place, _READ)
                except OSError:
                    continue
                found = os.fstat(descriptor)
                if stat_bits.S_ISREG(found.st_mode) and self.is_within(place):
                    return descriptor, place, found
                os.close(descriptor)
        raise ObjectNotFound(f"File not found: {key[:200]}")

    def look(self, key: str) -> tuple[Facts, str]:
        """Facts and place of an object.

        Raises:
            ObjectNotFound: see `open`.
        """
        descriptor, place, found = self.open(key)
        try:
            return self.facts.read(descriptor, place, found), place
        finally:
            os.close(descriptor)

    def put(self, file: Path, key: str, facts: Facts, *, if_absent: bool = False) -> list[int]:
        """Let a complete file be the object; what was there is gone. It is on disk when this returns.

        Returns the sizes of what was there.

        Raises:
            AlreadyExists: something is there and `if_absent` was asked for.
        """
        made: list[Path] = []
        with self.lock:
            places = self._places(key)
            there = [place for place in places if self._is_file(place)]
            if if_absent and there:
                raise AlreadyExists(f"A file is at {key[:200]} already.")
            replaced = self._sizes(there)
            self.make_folders(key, made)
            place = places[1] if (self.root / places[0]).is_dir() else places[0]
            self.facts.place(place, facts)
            os.replace(file, self.root / place)
            file.unlink(missing_ok=True)  # a second link of what is there already: nothing was renamed
            for other in there:
                if other != place:
                    self._unlink(other)
            folder = os.open((self.root / place).parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        for parent in made:
            sync_folder(parent.parent)
        return replaced

    def delete(self, key: str) -> list[int]:
        """Delete an object and the folders that are empty then; returns the sizes of what was there."""
        with self.lock:
            there = [place for place in self._places(key) if self._is_file(place) and self.is_within(place)]
            gone = self._sizes(there)
            for place in there:
                self._unlink(place)
            if there:
                parent = (self.root / there[0]).parent
                self._drop_empty(parent)
        if there:
            while not parent.is_dir():
                parent = parent.parent
            sync_folder(parent)
        return gone

    def move_away(self, key: str, target: Path, spare: str = "") -> bool:
        """Take a folder with all below it out of the way, at once; False if there is none.

        Args:
            spare: what stays, a folder directly in it.
        """
        with self.lock:
            place = "/".join(names_of(key))
            folder = self.root / place
            if not stat_bits.S_ISDIR(_mode(folder)) or not self.is_within(place):
                return False
            spared = names_of(spare)[0] if spare else ""
            if spared and stat_bits.S_ISDIR(_mode(folder / spared)):
                return self._move_but(folder, place, target, spared)
            os.replace(folder, target)
            self.facts.drop_folder(place)
            self._drop_empty(folder.parent)
        parent = folder.parent
        while not parent.is_dir():
            parent = parent.parent
        sync_folder(parent)
        return True

    def _move_but(self, folder: Path, place: str, target: Path, spared: str) -> bool:
        """The same where something stays: one entry after the other, under the lock."""
        names = [name for name in os.listdir(folder) if name != spared]
        if not names:
            return False
        target.mkdir(mode=0o700)
        for name in names:
            os.replace(folder / name, target / name)
            self.facts.drop(f"{place}/{name}")
            self.facts.drop_folder(f"{place}/{name}")
        sync_folder(folder)
        return True

    def _places(self, key: str) -> list[str]:
        """Where an object may lie: under its own name, or beside a folder that has the name."""
        place = "/".join(names_of(key))
        return [place, place + BESIDE]

    def _is_file(self, place: str) -> bool:
        return stat_bits.S_ISREG(_mode(self.root / place))

    def _sizes(self, places: list[str]) -> list[int]:
        return [os.lstat(self.root / place).st_size for place in places]

    def is_within(self, place: str) -> bool:
        """False where a symbolic link leads out of the way: nobody puts one there through us."""
        folder = (self.root / place).parent
        return os.path.realpath(folder) == str(folder)

    def make_folders(self, key: str, made: list[Path]) -> None:
        """Make the folders of an object, under the lock; those that are new are added to `made`."""
        folder = self.root
        for name in names_of(key)[:-1]:
            folder = folder / name
            if folder.is_symlink():
                raise OSError(errno.ELOOP, "a symbolic link is in the way")
            if folder.is_file():  # an object that has the name of a folder from now on
                os.replace(folder, folder.with_name(name + BESIDE))
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                made.append(folder)

    def _unlink(self, place: str) -> None:
        (self.root / place).unlink(missing_ok=True)
        self.facts.drop(place)

    def _drop_empty(self, folder: Path) -> None:
        while folder != self.root:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def walk(self, folder: str) -> Iterator[os.DirEntry[str]]:
        """Entries of a folder below the root; none where it isn't there, or is reached by a link."""
        path = self.root / folder if folder else self.root
        if os.path.realpath(path) != str(path):
            return
        with contextlib.suppress(OSError), os.scandir(path) as entries:
            yield from entries


def _mode(path: Path) -> int:
    """What is at a path, 0 for nothing."""
    with contextlib.suppress(OSError):
        return os.lstat(path).st_mode
    return 0


def sync_folder(folder: Path) -> None:
    """Let the names in a folder reach the disk; one that somebody has deleted meanwhile has none."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
