"""The same bytes are stored once, however many versions of an artifact have them; and are they whole?"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from hypha.errors import ObjectNotFound
from hypha.features.artifacts.artifact import Artifact
from hypha.features.artifacts.file_records import File, in_turns
from hypha.features.artifacts.parts import Parts

TOGETHER = 16
"""Files that are looked at or put in place at a time."""
HASHED_AT_ONCE = 64 * 1024
"""Larger pieces are hashed in a thread."""

Content = tuple[str, str]
"""Digest and content type: what files must have in common to share their bytes."""


class Sharing:
    """Lets files share their bytes with files of the same content.

    On disk each has its name in the folder of its version. Where a copy costs as much as the bytes, a file
    that stays as it was stays where it was, and two versions name the same object.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def share(self, artifact: Artifact, files: Sequence[File]) -> list[File]:
        """Put in the place of files that nobody knows yet what other versions have of the same content."""
        known = await self.known(artifact, [file.sha256 for file in files if file.size])
        if not known:
            return list(files)
        others = [known.get((file.sha256, file.content_type)) for file in files]
        whole = await self.whole_of(artifact, [other for other in others if other is not None])
        shared: list[File] = []
        for start in range(0, len(files), TOGETHER):
            some = slice(start, start + TOGETHER)
            pairs = zip(files[some], others[some], strict=True)
            shared += await asyncio.gather(*(self._shared(artifact, *pair, whole) for pair in pairs))
        return shared

    async def _shared(self, artifact: Artifact, file: File, other: File | None, whole: set[str]) -> File:
        if other is None or other.key(artifact.folder) not in whole:
            return file
        store, own = self._parts.store, file.key(artifact.folder)
        if store.shares_copies and artifact.home is None:
            info = await store.copy(other.key(artifact.folder), own)
            return replace(file, etag=info.etag, modified=info.modified)
        if file.path != other.path:
            return file
        await store.delete(own)
        return other

    async def known(self, artifact: Artifact, digests: Iterable[str]) -> dict[Content, File]:
        """Committed files of an artifact with one of these digests, by that and their content type."""
        found = await self._parts.files.with_content(artifact.id, list(dict.fromkeys(digests)))
        return {(file.sha256, file.content_type): file for file in found}

    async def whole_of(self, artifact: Artifact, files: Sequence[File]) -> set[str]:
        """The keys of those whose bytes are still those of their record; each is read once."""
        by_key: dict[str, File] = {}
        async for few in in_turns(files):
            by_key |= {file.key(artifact.folder): file for file in few}
        keys, whole = list(by_key), set[str]()
        for start in range(0, len(keys), TOGETHER):
            some = keys[start : start + TOGETHER]
            checked = await asyncio.gather(*(self._is_whole(artifact, by_key[key]) for key in some))
            whole |= {key for key, is_whole in zip(some, checked, strict=True) if is_whole}
        return whole

    async def _is_whole(self, artifact: Artifact, file: File) -> bool:
        try:
            return await digest(self._parts, file.key(artifact.folder)) == file.sha256
        except ObjectNotFound:
            return False


async def digest(parts: Parts, key: str) -> str:
    """The sha-256 of an object's bytes, in hex; read and made beside the event loop.

    Raises:
        ObjectNotFound.
    """
    made = hashlib.sha256()
    reading = await parts.store.open(key)
    try:
        async for chunk in reading.chunks():
            if len(chunk) > HASHED_AT_ONCE:
                await parts.crew.work(partial(made.update, chunk))
            else:
                made.update(chunk)
    finally:
        await reading.close()
    return made.hexdigest()
