"""Uploads in parts: one folder each, with a file that says what it is for and one per part.

They lie owner by owner, and their parts a hundred to a folder: nothing here takes longer because others have
many uploads, or this one many parts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hypha.errors import InvalidRequest, UploadNotFound
from hypha.objects.checks import checked_parts
from hypha.objects.keys import names_of
from hypha.objects.local.draft import ETAG_CHARS, Draft
from hypha.objects.local.layout import sync_folder
from hypha.objects.room import owner_of
from hypha.objects.store import Part

_ABOUT = "about.json"
_NOBODY = "%"
"""The folder of uploads to keys without an owner; no owner's is called so on disk."""
_TOGETHER = 100
"""Parts that lie in one folder."""
_ID = re.compile(r"[0-9a-f]{32}")


class Uploads:
    """The uploads that are not complete; everything here runs in worker threads.

    Each part counts as a file; how many uploads there are is for others to bound.

    Args:
        trash: a folder on the same disk that is emptied at every start.
    """

    def __init__(self, folder: Path, trash: Path) -> None:
        self._folder = folder
        self._trash = trash
        self._lock = threading.Lock()

    def begin(self, key: str, content_type: str, metadata: dict[str, str], sha256: str) -> str:
        """Make an upload and return its id; the digest is that of the whole, empty if it isn't known."""
        upload = secrets.token_hex(16)
        folder = self._of_owner(owner_of(key)) / upload
        about = {
            "key": key, "content_type": content_type, "metadata": metadata, "begun": time.time(),
            "sha256": sha256,
        }  # fmt: skip
        with self._lock:  # its owner's folder goes when it is empty
            folder.mkdir(mode=0o700, parents=True)
            (folder / _ABOUT).write_text(json.dumps(about))
        return upload

    def about(self, key: str, upload: str) -> dict[str, Any]:
        """What an upload is for.

        Raises:
            UploadNotFound: there is none of this id for this key.
        """
        is_id = isinstance(upload, str) and _ID.fullmatch(upload) is not None
        found = _read(self._of_owner(owner_of(key)) / upload) if is_id else None
        if found is None or found["key"] != key:
            raise _not_found(upload)
        return found

    def put(self, key: str, upload: str, number: int, draft: Draft) -> tuple[str, int, int]:
        """Let a finished draft be a part; returns its ETag, and the parts and bytes that it replaces.

        Raises:
            UploadNotFound: it was completed or given up while the part came.
        """
        folder = self._of_owner(owner_of(key)) / upload
        together, etag = _part_folder(folder, number), draft.sha256[:ETAG_CHARS]
        target = together / _part_name(number, etag)
        with self._lock:  # two of one number see each other
            try:
                together.mkdir(mode=0o700, exist_ok=True)
                before = [part.stat().st_size for part in together.glob(f"{number:05d}.*")]
                draft.path.replace(target)
                for other in together.glob(f"{number:05d}.*"):
                    if other != target:
                        other.unlink()
            except FileNotFoundError:
                raise _not_found(upload) from None
        with contextlib.suppress(FileNotFoundError):  # it may be complete by now
            sync_folder(together)
            sync_folder(folder)
        return etag, len(before), sum(before)

    def parts(self, key: str, upload: str, wanted: Sequence[tuple[int, str]]) -> list[Path]:
        """The files of parts in their order.

        Raises:
            InvalidRequest: one is missing, changed, or out of order.
        """
        folder = self._of_owner(owner_of(key)) / upload
        found = []
        for number, etag in checked_parts(wanted):
            part = _part_folder(folder, number) / _part_name(number, etag)
            if not _ID.fullmatch(etag) or not part.is_file():
                raise InvalidRequest(f"Part {number} was not uploaded with the ETag {etag[:40]!r}.")
            found.append(part)
        return found

    def there(self, key: str, upload: str) -> list[Part]:
        """What was sent of an upload that is known, in the order of the numbers."""
        found = []
        for part, size in sorted(_sizes_in(self._of_owner(owner_of(key)) / upload)):
            number, _, etag = part.name.partition(".")
            found.append(Part(int(number), etag, size))
        return found

    def forget(self, key: str, upload: str) -> tuple[int, int]:
        """Delete an upload with all parts; returns how many those were, and their bytes."""
        if not _ID.fullmatch(upload):
            return 0, 0
        folder = self._of_owner(owner_of(key)) / upload
        away = self._trash / f"{upload}.{secrets.token_hex(4)}"
        with self._lock:  # no part comes any more, and nobody else forgets it
            try:
                folder.replace(away)
            except FileNotFoundError:
                return 0, 0
            with contextlib.suppress(OSError):
                folder.parent.rmdir()
        counted = _counted(away)
        shutil.rmtree(away, ignore_errors=True)
        return counted

    def counted(self) -> dict[str, tuple[int, int]]:
        """Parts and bytes of the uploads of each owner."""
        counted: dict[str, tuple[int, int]] = {}
        for folder in self._folders():
            about = _read(folder)
            if about is None:
                shutil.rmtree(folder, ignore_errors=True)  # a server was killed as it began or ended
                continue
            count, size = _counted(folder)
            before = counted.get(owner_of(about["key"]), (0, 0))
            counted[owner_of(about["key"])] = before[0] + count, before[1] + size
        return counted

    def before(self, when: float, prefix: str = "") -> list[tuple[str, str]]:
        """Key and id of those that were begun before a time, to keys that begin with a prefix."""
        owner, slash, _ = prefix.partition("/")
        found = []
        for folder in self._folders(self._of_owner(owner) if slash else None):
            about = _read(folder)
            if about is not None and about["begun"] < when and about["key"].startswith(prefix):
                found.append((about["key"], folder.name))
        return found

    def _of_owner(self, owner: str) -> Path:
        return self._folder / (names_of(owner)[0] if owner else _NOBODY)

    def _folders(self, of_owner: Path | None = None) -> Iterator[Path]:
        for owner in [of_owner] if of_owner is not None else _entries(self._folder):
            yield from _entries(owner)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(folder: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads((folder / _ABOUT).read_text()))
    except (OSError, ValueError):
        return None


def _part_folder(folder: Path, number: int) -> Path:
    return folder / f"{number // _TOGETHER:03d}"


def _part_name(number: int, etag: str) -> str:
    return f"{number:05d}.{etag}"


def _sizes_in(folder: Path) -> Iterator[tuple[Path, int]]:
    """The parts that are there with their bytes; one may go, or be replaced, at any time."""
    for part in folder.glob("[0-9]*/[0-9]*.*"):
        with contextlib.suppress(FileNotFoundError):
            yield part, part.stat().st_size


def _counted(folder: Path) -> tuple[int, int]:
    sizes = [size for _, size in _sizes_in(folder)]
    return len(sizes), sum(sizes)


def _not_found(upload: object) -> UploadNotFound:
    return UploadNotFound(f"Upload ID {str(upload)[:64]} not found or expired")


def joined_etag(parts: Sequence[Path]) -> str:
    """The ETag of an object made of parts, which tells how many there were."""
    digest = hashlib.sha256("".join(part.name.partition(".")[2] for part in parts).encode()).hexdigest()
    return f"{digest[:ETAG_CHARS]}-{len(parts)}"
