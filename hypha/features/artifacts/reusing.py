"""Files that need no upload: an artifact has their content already, in some version."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from hypha.features.artifacts.artifact import Artifact
from hypha.features.artifacts.file_records import File, Staged
from hypha.features.artifacts.parts import Parts
from hypha.features.artifacts.sharing import TOGETHER, Sharing
from hypha.features.artifacts.staging import Staging, staged_round


class Reusing:
    """Stages committed content anew, under the same path or another one."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._sharing = Sharing(parts)
        self._staging = Staging(parts)

    async def reuse(self, artifact: Artifact, wanted: Mapping[str, str]) -> list[str]:
        """Stage those of the files (digest by path) whose content is there and whole; their paths.

        Raises:
            NotStaged: the artifact is not. LimitReached: too many are staged. QuotaExceeded, StorageFull.
        """
        staged_round(artifact)
        same = await self._sharing.known(artifact, wanted.values())
        known = {file.sha256: file for file in same.values()}
        there = [(path, known[digest]) for path, digest in wanted.items() if digest in known]
        reused: list[str] = []
        for start in range(0, len(there), TOGETHER):
            some = there[start : start + TOGETHER]
            done = await asyncio.gather(*(self._copied(artifact, path, file) for path, file in some))
            reused += [path for (path, _), is_done in zip(some, done, strict=True) if is_done]
        if reused:
            await self._staging.announce(artifact, [Staged(path) for path in reused])
        return reused

    async def _copied(self, artifact: Artifact, path: str, file: File) -> bool:
        if not await self._sharing.is_whole(artifact, file):
            return False
        await self._parts.store.copy(file.key(artifact.folder), artifact.stage_key(path))
        return True
