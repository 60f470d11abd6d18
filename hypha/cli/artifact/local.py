"""Files on this machine: found in a folder, hashed, and written where nothing is lost."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hypha.cli.artifact.faults import Fault, Stopped, UsageFault

BLOCK_BYTES = 1024 * 1024
PART_SUFFIX = ".hypha-part"
"""Ends the names of files that are not complete."""

Tick = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file that can be sent: its path in the artifact, where it lies, and its size."""

    path: str
    place: Path
    size: int


@dataclass(slots=True)
class Found:
    """The files of a folder, and what of it is no file that could be sent."""

    files: list[LocalFile] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    _kept: set[str] = field(default_factory=set)

    def leave_out(self, path: str, why: str) -> None:
        """Leave out what would have a path in the artifact; it is here all the same."""
        self.left_out.append(why)
        self._kept.add(path)

    def kept(self, path: str) -> bool:
        """True for a path at or below which something here was left out."""
        words = path.split("/")
        return any("/".join(words[:count]) in self._kept for count in range(1, len(words) + 1))


def find_files(source: Path, folder: str, *, follow_links: bool) -> Found:
    """What lies in a folder and below, in the order of the names; or one file.

    Args:
        folder: of the artifact, into which it goes: empty or with `/` at its end; or the path of one file.

    Raises:
        UsageFault: nothing is there.
    """
    found = Found()
    if source.is_dir():
        _walk(source, folder, found, follow_links, ())
    elif source.is_file():
        path = f"{folder}{source.name}" if not folder or folder.endswith("/") else folder
        found.files.append(LocalFile(path, source, source.stat().st_size))
    else:
        raise UsageFault(f"{source} is no file and no folder.")
    return found


def _walk(folder: Path, prefix: str, found: Found, follow: bool, above: tuple[tuple[int, int], ...]) -> None:
    own = folder.stat()
    identity = (own.st_dev, own.st_ino)
    if identity in above:
        found.leave_out(prefix.rstrip("/"), f"{folder}: a link that leads back to where it is")
        return
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    if not entries and above:
        found.left_out.append(f"{folder}: an empty folder, which artifacts don't have")
    for entry in entries:
        place = Path(entry.path)
        if entry.name.endswith(PART_SUFFIX):
            whole = entry.name.removesuffix(PART_SUFFIX)
            found.leave_out(f"{prefix}{whole}", f"{place}: a part of a file that did not come to its end")
        elif entry.is_symlink() and not follow:
            why = f"{place}: a link (--follow-links sends what it leads to)"
            found.leave_out(f"{prefix}{entry.name}", why)
        elif entry.is_dir():
            _walk(place, f"{prefix}{entry.name}/", found, follow, (*above, identity))
        else:
            _take(place, f"{prefix}{entry.name}", found)


def _take(place: Path, path: str, found: Found) -> None:
    try:
        path.encode()
        known = place.stat()
    except UnicodeEncodeError:
        found.leave_out(path, f"{place}: its name is no text in UTF-8")
    except OSError as error:
        found.leave_out(path, f"{place}: {error.strerror or error}")
    else:
        if stat.S_ISREG(known.st_mode):
            found.files.append(LocalFile(path, place, known.st_size))
        else:
            found.leave_out(path, f"{place}: no plain file")


def sha256_of(place: Path, tick: Tick, is_stopped: Callable[[], bool]) -> str:
    """The digest of a file in hex; `tick` hears how many bytes were read.

    Raises:
        OSError. Stopped.
    """
    made = hashlib.sha256()
    with open(place, "rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            if is_stopped():
                raise Stopped
            made.update(block)
            tick(len(block))
    return made.hexdigest()


def blocks_of(
    place: Path, start: int, size: int, tick: Tick, is_stopped: Callable[[], bool]
) -> Iterator[bytes]:
    """Bytes of a file; always as many as asked for.

    Raises:
        Fault: the file has become shorter. Stopped.
    """
    with open(place, "rb") as stream:
        stream.seek(start)
        while size:
            if is_stopped():
                raise Stopped
            block = stream.read(min(BLOCK_BYTES, size))
            if not block:
                raise Fault(f"{place} became shorter while it was sent.")
            size -= len(block)
            yield block
            tick(len(block))


def target_in(folder: Path, path: str, *, is_windows: bool = os.name == "nt") -> Path:
    """Where a file of an artifact goes below a folder; all that a server calls something comes through here.

    Args:
        is_windows: names are those of Windows, where some lead elsewhere or to devices.

    Raises:
        Fault: its path would lead elsewhere, whatever the server says, or is none on this system.
    """
    words = path.split("/")
    if any(word in ("", ".", "..") or "\0" in word or "\\" in word for word in words) or os.path.isabs(path):
        raise Fault(f"The path {path!a} leads out of the folder: nothing was written for it.")
    if is_windows and not all(_is_windows_name(word) for word in words):
        raise Fault(f"The path {path!a} is none on Windows: nothing was written for it.")
    target = folder.joinpath(*words)
    for parent in target.parents:
        if parent == folder:
            break
        if parent.is_symlink():
            raise Fault(f"{parent} is a link: nothing is written through it.")
    if not target.parent.resolve().is_relative_to(folder.resolve()):  # as by a junction
        raise Fault(f"{target.parent} leads out of {folder}: nothing is written through it.")
    return target


def _is_windows_name(word: str) -> bool:
    """False for drives, streams of other files, devices, and what Windows would call something else."""
    if any(letter in '<>:"|?*' or ord(letter) < 32 for letter in word) or word[-1] in " .":
        return False
    return word.partition(".")[0].rstrip().upper() not in _DEVICES


_DEVICES = frozenset(("CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$")) | {
    f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789\u00b9\u00b2\u00b3"
}
