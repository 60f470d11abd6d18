"""The end of versions and artifacts: records in one transaction, bytes afterwards."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.errors import InvalidRequest
from hypha.features.artifacts import file_records, records
from hypha.features.artifacts.artifact import NEW_VERSION, Artifact, UnknownVersion, Version
from hypha.features.artifacts.parts import Parts
from hypha.features.artifacts.tables import Artifact as Table
from hypha.features.artifacts.tables import ArtifactFile, ArtifactSecret, ArtifactVersion
from hypha.features.progress import Progress
from hypha.ids import random_id
from hypha.objects.homes import folder_at


class Deleting:
    """Deletes. The caller holds the artifact's lock, and has checked what the person may do."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def version(self, artifact: Artifact, name: object) -> None:
        """Delete one version; the others keep their names and files. Without any, the artifact is a draft.

        Raises:
            InvalidRequest: `stage` is no version. UnknownVersion.
        """
        if name == "stage":
            raise InvalidRequest("What is staged is not a version: call discard to drop it.")
        try:
            found = artifact.version(name)
        except UnknownVersion:
            known = ", ".join(version.name for version in artifact.versions[:50])
            shown = str(name)[:100]
            raise UnknownVersion(
                f"Artifact version '{shown}' does not exist: it has {known or 'none'}."
            ) from None
        rest = [version for version in artifact.versions if version.number != found.number]
        latest = rest[-1] if rest else None
        kept = await self._parts.artifacts.snapshot(artifact.id, latest.number) if latest else None
        parts = self._parts
        async with parts.data.writing() as connection:
            await records.locked(connection, artifact)
            await self._remove_version(connection, artifact, found)
            freed = found.size
            values: dict[str, Any] = {"version_count": len(rest), "last_modified": parts.now()}
            if found == artifact.latest:
                values |= {"file_count": latest.file_count if latest else 0}
            if found == artifact.latest and kept:
                own = records.record_size(artifact.manifest, artifact.config)
                freed += own - records.record_size(kept["manifest"], artifact.config)
                values |= {"manifest": kept["manifest"], "type": kept["type"]}
            if not rest:
                values |= {"intent": NEW_VERSION, "round": artifact.round or random_id()}
            await parts.usage.remove(connection, artifact.workspace, records.KIND, 0, freed)
            await records.change(connection, artifact.id, **values, size=artifact.size - freed)
        parts.garbage.wake()
        await parts.applications.removed(artifact.workspace)

    async def _remove_version(
        self, connection: AsyncConnection, artifact: Artifact, version: Version
    ) -> None:
        parts = self._parts
        where = ArtifactFile.artifact == artifact.id, ArtifactFile.version == version.number
        count, size = await file_records.use_of(connection, where[0] & where[1])
        places = await file_records.places_of(connection, artifact.id, version.number)
        shared = await file_records.objects_of(connection, artifact.id, version.number)
        await connection.execute(delete(ArtifactFile).where(*where))
        unused = await file_records.unused_of(connection, artifact.id, shared)
        of_version = ArtifactVersion.artifact == artifact.id, ArtifactVersion.number == version.number
        await connection.execute(delete(ArtifactVersion).where(*of_version))
        await parts.usage.remove(connection, artifact.workspace, file_records.KIND, count, size)
        kept = {place for place, _ in shared}
        keys = [f"{artifact.folder}/{place}/" for place in places if place not in kept]
        keys += [f"{artifact.folder}/{place}/{path}" for place, path in unused]
        await records.discard_later(connection, keys, parts.clock())

    async def artifact(self, artifact: Artifact, progress: Progress, *, recursive: bool) -> None:
        """Delete an artifact, with all that is in it.

        Raises:
            InvalidRequest: it has children, and they shall not go.
        """
        parts = self._parts
        async with parts.data.writing() as connection:
            await records.locked(connection, artifact)
            levels = await _descendants(connection, artifact.id)
            if len(levels) > 1 and not recursive:
                raise InvalidRequest(
                    f"The collection '{artifact.full_id}' has {len(levels[1])} children: delete them first, "
                    "or call delete with recursive=True."
                )
            progress.expect(sum(map(len, levels)))
            for level in reversed(levels):
                for some in file_records.batches(level):
                    await self._remove(connection, artifact.workspace, list(some))
                    progress.add(len(some))
        parts.garbage.wake()
        await parts.applications.removed(artifact.workspace)

    async def _remove(self, connection: AsyncConnection, workspace: str, ids: list[str]) -> None:
        parts, usage = self._parts, self._parts.usage
        count, size = await file_records.use_of(connection, ArtifactFile.artifact.in_(ids))
        await usage.remove(connection, workspace, file_records.KIND, count, size)
        found = (
            await connection.execute(select(Table.id, Table.home, Table.size).where(Table.id.in_(ids)))
        ).all()
        of_records = sum(row.size for row in found)
        of_secrets = select(func.coalesce(func.sum(ArtifactSecret.size), 0)).where(
            ArtifactSecret.artifact.in_(ids)
        )
        of_records += int((await connection.execute(of_secrets)).scalar_one())
        await usage.remove(connection, workspace, records.KIND, len(ids), of_records)
        await connection.execute(delete(Table).where(Table.id.in_(ids)))
        keys = [f"{folder_at(workspace, row.home)}/{row.id}/" for row in found]
        await records.discard_later(connection, keys, parts.clock())


async def _descendants(connection: AsyncConnection, artifact: str) -> list[list[str]]:
    """The artifact, its children, their children, and so on."""
    levels = [[artifact]]
    while levels[-1]:
        below: list[str] = []
        for some in file_records.batches(levels[-1]):
            below += (await connection.execute(select(Table.id).where(Table.parent_id.in_(some)))).scalars()
        levels.append(below)
    return levels[:-1]
