"""Files that need no upload: an artifact has their content already, in some version."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from hypha.features.artifacts.artifact import Artifact
from hypha.features.artifacts.file_records import File, Staged
from hypha.features.artifacts.parts import Parts
from hypha.features.artifacts.sharing import TOGETHER, Sharing
from hypha.features.artifacts.staging import Staging, staged_round
from hypha.locks import NamedLocks


class Reusing:
    """Stages committed content anew, under the same path or another one."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._sharing = Sharing(parts)
        self._staging = Staging(parts)
        self._turns = NamedLocks()

    async def reuse(self, artifact: Artifact, wanted: Mapping[str, str], person: str) -> list[str]:
        """Stage those of the files (digest by path) whose content is there and whole; their paths.

        Contents are read for that: one call of a person at a time, the others wait.

        Raises:
            NotStaged: the artifact is not. LimitReached: too many are staged. QuotaExceeded, StorageFull.
        """
        staged_round(artifact)
        same = await self._sharing.known(artifact, wanted.values())
        known = {file.sha256: file for file in same.values()}
        there = [(path, known[digest]) for path, digest in wanted.items() if digest in known]
        async with self._turns.held(person):
            whole = await self._whole(artifact, there)
        pairs = [(file.key(artifact.folder), artifact.stage_key(path)) for path, file in whole]
        if pairs:
            await self._parts.store.copy_many(pairs)
        reused = [path for path, _ in whole]
        if reused:
            await self._staging.announce(artifact, [Staged(path) for path in reused])
        return reused

    async def _whole(self, artifact: Artifact, there: Sequence[tuple[str, File]]) -> list[tuple[str, File]]:
        """Those whose bytes are still those of their record."""
        whole: list[tuple[str, File]] = []
        for start in range(0, len(there), TOGETHER):
            some = there[start : start + TOGETHER]
            checked = await asyncio.gather(*(self._sharing.is_whole(artifact, file) for _, file in some))
            whole += [each for each, is_whole in zip(some, checked, strict=True) if is_whole]
        return whole
