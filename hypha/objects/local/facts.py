"""What is known of an object beside its bytes: kept with its file, in an extended attribute.

Where the file system has none, it lies in a file of its own, written before the object is. Facts name the
size and time of the file that they are about, so that those of another state of it are never believed.
"""

from __future__ import annotations

import contextlib
import json
import mimetypes
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypha.errors import InvalidRequest
from hypha.objects.keys import BESIDE
from hypha.objects.store import DEFAULT_TYPE, ObjectInfo

MAX_FACTS_BYTES = 3000
"""What the smallest of the usual file systems keep in an attribute, less what others put there."""
ATTRIBUTE = "user.hypha"


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of one state of a file: that of this size and modification time (nanoseconds)."""

    size: int
    modified_ns: int
    etag: str
    content_type: str = DEFAULT_TYPE
    metadata: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""

    @classmethod
    def read(cls, text: bytes, stat: os.stat_result) -> Facts | None:
        """Facts that were written, None if they are of another state or damaged."""
        try:
            found = json.loads(text)
            facts = cls(**{name: found[name] for name in cls.__slots__})
        except (ValueError, KeyError, TypeError):
            return None
        return facts if (facts.size, facts.modified_ns) == (stat.st_size, stat.st_mtime_ns) else None

    @classmethod
    def guess(cls, name: str, stat: os.stat_result) -> Facts:
        """What a file tells of itself that nobody put here through us."""
        kind = mimetypes.guess_type(name)[0] or DEFAULT_TYPE
        return cls(stat.st_size, stat.st_mtime_ns, f"{stat.st_size:x}-{stat.st_mtime_ns:x}", kind)

    def text(self) -> bytes:
        """As it is written.

        Raises:
            InvalidRequest: there is too much.
        """
        text = json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()
        if len(text) > MAX_FACTS_BYTES:
            raise InvalidRequest(
                f"Content type and metadata of a file take {MAX_FACTS_BYTES:,} bytes at most."
            )
        return text

    def of(self, stat: os.stat_result) -> Facts:
        """The same facts of the file as it is now."""
        return replace(self, size=stat.st_size, modified_ns=stat.st_mtime_ns)

    def info(self, key: str) -> ObjectInfo:
        """For whoever asks for the object."""
        return ObjectInfo(
            key,
            self.size,
            self.etag,
            self.modified_ns / 1e9,
            self.content_type,
            dict(self.metadata),
            self.sha256,
        )


class FactsKeeper:
    """Writes facts beside files and reads them.

    Args:
        folder: for those of files that cannot have attributes.
    """

    def __init__(self, folder: Path, *, has_attributes: bool) -> None:
        self._folder = folder
        self.has_attributes = has_attributes

    @classmethod
    def of(cls, folder: Path, probe: Path) -> FactsKeeper:
        """Find out, at the file `probe`, whether the file system keeps attributes."""
        try:
            os.setxattr(probe, ATTRIBUTE, b"{}")
        except (OSError, AttributeError):  # this file system, or this system, has none
            return cls(folder, has_attributes=False)
        return cls(folder, has_attributes=True)

    def attach(self, file: int, facts: Facts) -> None:
        """Keep facts with an opened file, which has yet to be flushed.

        Raises:
            InvalidRequest: they are too long, wherever they are kept.
        """
        text = facts.text()
        if self.has_attributes:
            os.setxattr(file, ATTRIBUTE, text)

    def place(self, place: str, facts: Facts) -> None:
        """Keep facts of a file that is about to be renamed to `place`, unless they are attached to it."""
        if self.has_attributes:
            return
        text = facts.text()
        target = self._beside(place)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{target.name}.{os.getpid()}.{id(facts):x}~")
        with open(temporary, "wb") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)

    def read(self, file: int | Path, place: str, stat: os.stat_result) -> Facts:
        """Facts of an opened file, or of one at a path; guessed where none were written."""
        text = b""
        with contextlib.suppress(OSError):
            text = os.getxattr(file, ATTRIBUTE) if self.has_attributes else self._beside(place).read_bytes()
        return Facts.read(text, stat) or Facts.guess(place.removesuffix(BESIDE), stat)

    def drop(self, place: str) -> None:
        """Forget the facts of a file that is gone."""
        if not self.has_attributes:
            self._beside(place).unlink(missing_ok=True)

    def drop_folder(self, place: str) -> None:
        """Forget the facts of all files below a folder that is gone."""
        if not self.has_attributes:
            shutil.rmtree(self._folder / place, ignore_errors=True)

    def _beside(self, place: str) -> Path:
        return self._folder / f"{place}.json~"
