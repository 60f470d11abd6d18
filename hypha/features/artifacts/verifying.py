"""Whether committed bytes are still what was committed: each file is read, and its digest compared."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hypha.errors import LimitReached, ObjectNotFound
from hypha.features.artifacts.artifact import Artifact, FileNotFound, Version
from hypha.features.artifacts.file_records import File
from hypha.features.artifacts.parts import Parts
from hypha.features.artifacts.sharing import digest
from hypha.features.progress import Progress

MAX_VERIFYING = 2
"""Calls of one person that read at the same time."""
MAX_VERIFYING_IN_ALL = 8
MAX_DAMAGED = 10_000
"""Files that one answer names."""
_TOGETHER = 4
_PAGE = 1000


class Verifying:
    """Reads files; how many do so at once is bounded, since it keeps the disk busy."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._running: Counter[str] = Counter()

    async def verify(
        self,
        artifact: Artifact,
        versions: Sequence[Version],
        paths: Sequence[str] | None,
        person: str,
        progress: Progress,
    ) -> dict[str, Any]:
        """Number and bytes of the files that were read, and which are damaged.

        Raises:
            FileNotFound: a path is named that no version has. LimitReached: too much is being read.
        """
        damaged: list[dict[str, Any]] = []
        with self._place(person):
            progress.expect(len(paths or ()) or sum(version.file_count for version in versions))
            for version in versions:
                async for files in self._files(artifact, version, paths):
                    for start in range(0, len(files), _TOGETHER):
                        some = files[start : start + _TOGETHER]
                        problems = await asyncio.gather(*(self._problem(artifact, file) for file in some))
                        damaged += _named(version, some, problems)
                        progress.add(len(some), sum(file.size for file in some))
        return {"files": progress.done, "bytes": progress.done_bytes, "damaged": damaged[:MAX_DAMAGED]}

    async def _files(
        self, artifact: Artifact, version: Version, paths: Sequence[str] | None
    ) -> AsyncIterator[Sequence[File]]:
        files = self._parts.files
        if paths is not None:
            found = await files.find(artifact.id, version.number, paths)
            missing = next((path for path in paths if path not in found), None)
            if missing is not None:
                raise FileNotFound(f"File '{missing}' does not exist in the artifact {artifact.full_id}.")
            yield list(found.values())
            return
        after = ""
        while page := await files.page(artifact.id, version.number, after, _PAGE):
            yield page
            after = page[-1].path

    async def _problem(self, artifact: Artifact, file: File) -> str:
        try:
            found = await digest(self._parts, file.key(artifact.folder))
        except ObjectNotFound:
            return "missing"
        return "" if found == file.sha256 or not file.sha256 else "changed"

    @contextmanager
    def _place(self, person: str) -> Iterator[None]:
        if self._running[person] >= MAX_VERIFYING or self._running.total() >= MAX_VERIFYING_IN_ALL:
            raise LimitReached(
                "Too many artifacts are being verified: wait until one is done.", retry_after_s=5.0
            )
        self._running[person] += 1
        try:
            yield
        finally:
            self._running[person] -= 1
            if not self._running[person]:
                del self._running[person]


def _named(version: Version, files: Sequence[File], problems: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"path": file.path, "version": version.name, "problem": problem, "sha256": file.sha256}
        for file, problem in zip(files, problems, strict=True)
        if problem
    ]
