"""Files that need no upload: an artifact has their content already, in some version."""

from __future__ import annotations

from collections.abc import Mapping

from hypha.features.artifacts.artifact import Artifact
from hypha.features.artifacts.file_records import Staged, check_staged
from hypha.features.artifacts.parts import Parts
from hypha.features.artifacts.sharing import Sharing
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

        Contents are read for that, each once: one call of a person at a time, the others wait.

        Raises:
            NotStaged: the artifact is not. LimitReached: too many are staged. QuotaExceeded, StorageFull.
        """
        staged_round(artifact)
        same = await self._sharing.known(artifact, wanted.values())
        known = {file.sha256: file for file in same.values()}
        there = [(path, known[digest]) for path, digest in wanted.items() if digest in known]
        staged = await self._parts.files.find_staged(artifact.id, [path for path, _ in there])
        check_staged(artifact.staged_files + len(there) - len(staged))  # before anything is read
        async with self._turns.held(person):
            whole = await self._sharing.whole_of(artifact, [file for _, file in there])
        there = [(path, file) for path, file in there if file.key(artifact.folder) in whole]
        pairs = [(file.key(artifact.folder), artifact.stage_key(path)) for path, file in there]
        if pairs:
            await self._parts.store.copy_many(pairs)
        reused = [path for path, _ in there]
        if reused:
            await self._staging.announce(artifact, [Staged(path) for path in reused])
        return reused
