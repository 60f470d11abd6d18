"""Changes that are not committed yet: opened and taken back, seen by those alone who may make them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from hypha.errors import InvalidRequest, LimitReached
from hypha.features.artifacts import file_records, records
from hypha.features.artifacts.artifact import EDIT_VERSION, NEW_VERSION, Artifact, NotStaged
from hypha.features.artifacts.file_records import Staged
from hypha.features.artifacts.ids import Reference
from hypha.features.artifacts.parts import Parts
from hypha.ids import random_id

NOTHING_STAGED = "No staged changes to discard. Artifact is not in staging mode."


class Staging:
    """Opens, changes and drops what is staged; its caller holds the artifact's lock and read it under it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def open(self, artifact: Artifact, changes: Mapping[str, Any], *, as_new: bool) -> Artifact:
        """Stage an artifact, or go on with it, and stage fields of it.

        Args:
            changes: `manifest`, `config` or `type`. as_new: a new version shall come of it.

        Raises:
            QuotaExceeded.
        """
        parts = self._parts
        intent = artifact.intent or (EDIT_VERSION if artifact.is_committed else NEW_VERSION)
        if as_new:
            intent = NEW_VERSION
        staged = {**artifact.staged, **changes}
        record = await parts.access.check_writable(artifact.workspace, is_admin=True)
        before = records.record_size(artifact.staged) if artifact.staged else 0
        added = (records.record_size(staged) if staged else 0) - before
        allowance = parts.access.allowance(record, records.KIND)
        async with parts.data.writing() as connection:
            await records.locked(connection, artifact)
            await parts.usage.add(connection, record, records.KIND, 0, added, allowance)
            await records.change(
                connection, artifact.id, intent=intent, round=artifact.round or random_id(),
                staged=staged or None, size=artifact.size + added,
            )  # fmt: skip
        return await self._again(artifact)

    async def discard(self, artifact: Artifact) -> Artifact:
        """Forget all that is staged; a draft stays one.

        Raises:
            InvalidRequest: nothing is.
        """
        is_empty = not artifact.staged and not artifact.staged_files
        if not artifact.is_staged or (not artifact.is_committed and is_empty):
            raise InvalidRequest(NOTHING_STAGED)
        parts, is_draft = self._parts, not artifact.is_committed
        freed = records.record_size(artifact.staged) if artifact.staged else 0
        async with parts.data.writing() as connection:
            await records.locked(connection, artifact)
            await file_records.unstage_all(connection, artifact.id)
            await parts.usage.remove(connection, artifact.workspace, records.KIND, 0, freed)
            stage = f"{artifact.folder}/stage/{artifact.round}/"
            await records.discard_later(connection, [stage], parts.clock())
            await records.change(
                connection, artifact.id, intent=NEW_VERSION if is_draft else None,
                round=random_id() if is_draft else None, staged=None, staged_files=0,
                size=artifact.size - freed,
            )  # fmt: skip
        parts.garbage.wake()
        return await self._again(artifact)

    async def announce(self, artifact: Artifact, files: Sequence[Staged]) -> None:
        """Note files for the next commit.

        Raises:
            NotStaged: the artifact is not. LimitReached: too many are staged.
        """
        round_id = staged_round(artifact)
        async with records.changing(self._parts.data) as connection:
            await file_records.stage(connection, artifact.id, round_id, files)

    async def check_wanted(self, artifact: Artifact, path: str) -> None:
        """Delete what was just uploaded if the artifact was committed, discarded or deleted while it came.

        Raises:
            NotStaged: it was.
        """
        found = await self._parts.artifacts.get(Reference(id=artifact.id))
        if found is None or found.round != artifact.round:
            await self._parts.store.delete(artifact.stage_key(path))
            raise NotStaged(
                "The artifact was committed or discarded while the file came: see whether it has the file, "
                "else stage it again."
            )

    async def withdraw(self, artifact: Artifact, path: str) -> None:
        """Take back the announcement of a file, and what was uploaded of it."""
        parts = self._parts
        async with parts.data.writing() as connection:
            await file_records.unstage(connection, artifact.id, path)
            await file_records.end_uploads(connection, artifact.id, path)
        await parts.store.delete(artifact.stage_key(path))

    async def give_up(self, artifact: Artifact, path: str, *, has_come: bool) -> None:
        """End uploads to a file, and take back its announcement unless something of an upload has come."""
        async with self._parts.data.writing() as connection:
            if not has_come:
                await file_records.unstage(connection, artifact.id, path)
            await file_records.end_uploads(connection, artifact.id, path)

    async def _again(self, artifact: Artifact) -> Artifact:
        found = await self._parts.artifacts.get(Reference(id=artifact.id))
        if found is None:
            raise LimitReached("The artifact was deleted meanwhile.")
        return found


def staged_round(artifact: Artifact) -> str:
    """The round in which an artifact is staged.

    Raises:
        NotStaged: it is not.
    """
    if artifact.round is None:
        raise NotStaged("Artifact must be in staging mode.")
    return artifact.round


async def shown_staged(files: Sequence[Staged]) -> list[dict[str, Any]]:
    """Staged files as results show them; many are made in several turns."""
    shown: list[dict[str, Any]] = []
    for number, file in enumerate(files, 1):
        if number % file_records.READ_AT_ONCE == 0:
            await asyncio.sleep(0)
        if file.is_removed:
            shown.append({"path": file.path, "_remove": True})
        else:
            weight = {"download_weight": file.weight} if file.weight > 0 else {}
            shown.append({"path": file.path, **weight})
    return shown
