"""Uploads in parts: one folder each, with a file that says what it is for and one per part."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypha.errors import InvalidRequest, UploadNotFound
from hypha.objects.local.draft import ETAG_CHARS, Draft
from hypha.objects.local.layout import sync_folder
from hypha.objects.store import MAX_PARTS, Part

_ABOUT = "about.json"
_ID = re.compile(r"[0-9a-f]{32}")


class Uploads:
    """The uploads that are not complete; everything here runs in worker threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, key: str, content_type: str, metadata: dict[str, str], sha256: str) -> str:
        """Make an upload and return its id; the digest is that of the whole, empty if it isn't known."""
        upload = secrets.token_hex(16)
        folder = self._folder / upload
        folder.mkdir(mode=0o700, parents=True)
        about = {
            "key": key, "content_type": content_type, "metadata": metadata, "begun": time.time(),
            "sha256": sha256,
        }  # fmt: skip
        (folder / _ABOUT).write_text(json.dumps(about))
        return upload

    def about(self, key: str, upload: str) -> dict[str, Any]:
        """What an upload is for.

        Raises:
            UploadNotFound: there is none of this id for this key.
        """
        found = self._read(upload)
        if found is None or found["key"] != key:
            raise UploadNotFound(f"Upload ID {str(upload)[:64]} not found or expired")
        return found

    def put(self, upload: str, number: int, draft: Draft) -> tuple[str, int]:
        """Let a finished draft be a part; returns its ETag, and how many bytes it takes the place of."""
        folder, etag = self._folder / upload, draft.sha256[:ETAG_CHARS]
        target = folder / f"{number:05d}.{etag}"
        before = list(folder.glob(f"{number:05d}.*"))
        freed = sum(part.stat().st_size for part in before)
        draft.path.replace(target)
        for other in before:
            if other != target:
                other.unlink(missing_ok=True)
        sync_folder(folder)
        return etag, freed

    def parts(self, upload: str, wanted: Sequence[tuple[int, str]]) -> list[Path]:
        """The files of parts in their order.

        Raises:
            InvalidRequest: one is missing, changed, or out of order.
        """
        numbers = [check_number(number) for number, _ in wanted]
        if not numbers or sorted(set(numbers)) != numbers:
            raise InvalidRequest("The parts of an upload are given once each, in the order of their numbers.")
        found = []
        for number, etag in wanted:
            name = str(etag).strip('"')
            part = self._folder / upload / f"{number:05d}.{name}"
            if not re.fullmatch(r"[0-9a-f]{32}", name) or not part.is_file():
                raise InvalidRequest(f"Part {number} was not uploaded with the ETag {str(etag)[:40]!r}.")
            found.append(part)
        return found

    def there(self, upload: str) -> list[Part]:
        """What was sent of an upload that is known, in the order of the numbers."""
        found = []
        for part in sorted(_parts_in(self._folder / upload)):
            number, _, etag = part.name.partition(".")
            found.append(Part(int(number), etag, part.stat().st_size))
        return found

    def forget(self, upload: str) -> int:
        """Delete an upload with all parts; returns their bytes."""
        if not _ID.fullmatch(upload):
            return 0
        freed = sum(part.stat().st_size for part in _parts_in(self._folder / upload))
        shutil.rmtree(self._folder / upload, ignore_errors=True)
        return freed

    def counted(self) -> list[tuple[str, int]]:
        """Key and bytes of each upload."""
        found = []
        for key, upload in self.before(float("inf")):
            found.append((key, sum(part.stat().st_size for part in _parts_in(self._folder / upload))))
        return found

    def before(self, when: float) -> list[tuple[str, str]]:
        """Key and id of those that were begun before a time."""
        found = []
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            about = self._read(folder.name)
            if about is not None and about["begun"] < when:
                found.append((about["key"], folder.name))
        return found

    def _read(self, upload: object) -> dict[str, Any] | None:
        if not isinstance(upload, str) or not _ID.fullmatch(upload):
            return None
        try:
            return dict(json.loads((self._folder / upload / _ABOUT).read_text()))
        except (OSError, ValueError):
            return None


def _parts_in(folder: Path) -> list[Path]:
    return list(folder.glob("[0-9]*.*"))


def check_number(number: object) -> int:
    """The number of a part.

    Raises:
        InvalidRequest: it is none of 1 to 10,000.
    """
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MAX_PARTS:
        raise InvalidRequest(f"The number of a part is 1 to {MAX_PARTS:,}.")
    return number


def joined_etag(parts: Sequence[Path]) -> str:
    """The ETag of an object made of parts, which tells how many there were."""
    digest = hashlib.sha256("".join(part.name.partition(".")[2] for part in parts).encode()).hexdigest()
    return f"{digest[:ETAG_CHARS]}-{len(parts)}"
