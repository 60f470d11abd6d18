"""Artifacts in collections: moved from one to another, and copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.errors import InvalidRequest, PermissionDenied, VersionConflict
from hypha.features.artifacts import file_records, records
from hypha.features.artifacts.artifact import Artifact
from hypha.features.artifacts.creating import Creating, Wish
from hypha.features.artifacts.file_records import File
from hypha.features.artifacts.files import FileView
from hypha.features.artifacts.ids import Reference
from hypha.features.artifacts.parts import Parts
from hypha.features.artifacts.tables import Artifact as Table
from hypha.features.artifacts.tables import ArtifactVersion
from hypha.features.progress import Progress
from hypha.objects.store import ObjectInfo

LOST_IN_COPIES = ("zenodo", "id_parts")
"""What of a config belongs to the one artifact alone."""


class Moving:
    """Moves and copies artifacts."""

    def __init__(self, parts: Parts, creating: Creating) -> None:
        self._parts = parts
        self._creating = creating
        self._view = FileView(parts)

    async def set_parent(self, artifact: Artifact, parent: Artifact | None, context: Context) -> None:
        """Put an artifact into another collection, or into none.

        Raises:
            InvalidRequest: that is in another workspace, or inside of the artifact.
            PermissionDenied: the old or the new one, or the workspace, does not let the caller do it.
        """
        access, parts = self._parts.access, self._parts
        if parent is not None and parent.workspace != artifact.workspace:
            raise InvalidRequest("The new parent is in another workspace: artifacts stay in theirs.")
        await access.require_of_parent(artifact, context, "detach")
        caller = await access.caller(context, artifact.workspace)
        if parent is not None:
            await access.require(parent, context, "read")
            access.check_parent(caller, parent.permissions, "attach")
        elif caller.level < Level.READ_WRITE:
            raise PermissionDenied(
                "Only who may write in the workspace takes an artifact out of its collection."
            )
        async with parts.data.writing() as connection:
            await records.locked(connection, artifact)
            if parent is not None:
                await _check_no_circle(connection, artifact.id, parent.id)
            values = {"parent_id": parent.id if parent is not None else None, "last_modified": parts.now()}
            await records.change(connection, artifact.id, **values)

    async def duplicate(self, source: Artifact, wish: Wish, context: Context, progress: Progress) -> Artifact:
        """Make an artifact with the manifest and the files of another one's latest version.

        The bytes are shared on disk where the store can. Readers of the new one see it without files first.

        Raises:
            InvalidRequest: the source is not committed. And as `Creating.create`.
        """
        if not source.is_committed:
            raise InvalidRequest(f"The artifact '{source.full_id}' is not committed: commit it first.")
        is_draft = wish.stage
        made = await self._creating.create(replace(wish, stage=True), context)
        parts = self._parts
        async with parts.locks.held(made.id):
            files = await self._copied(source, made, progress, as_staged=is_draft)
            if is_draft:
                async with parts.data.writing() as connection:
                    staged = [file_records.Staged(file.path) for file in files]
                    await file_records.stage(connection, made.id, made.round or "", staged)
            else:
                await self._commit_copy(made, files)
        found = await parts.artifacts.get(Reference(id=made.id))
        return found or made

    async def _copied(
        self, source: Artifact, made: Artifact, progress: Progress, *, as_staged: bool
    ) -> list[File]:
        place = f"stage/{made.round}" if as_staged else f"v{made.next_version}"
        files = await self._view.all_of(source, None)
        progress.expect(len(files))

        def copied(some: Sequence[ObjectInfo]) -> None:
            progress.add(len(some), sum(info.size for info in some))

        pairs = [(file.key(source.folder), f"{made.folder}/{place}/{file.path}") for file in files]
        await self._parts.store.copy_many(pairs, copied)
        return [replace(file, place=place) for file in files]

    async def _commit_copy(self, made: Artifact, files: list[File]) -> None:
        """The first version of a copy."""
        parts = self._parts
        record = await parts.access.check_writable(made.workspace, is_admin=True)
        async with parts.data.writing() as connection:
            await records.locked(connection, made)
            size = sum(file.size for file in files)
            if files:
                allowance = parts.access.allowance(record, file_records.KIND)
                await parts.usage.add(connection, record, file_records.KIND, len(files), size, allowance)
            own = records.record_size(made.manifest, made.config)
            allowance = parts.access.allowance(record, records.KIND)
            await parts.usage.add(connection, record, records.KIND, 0, own, allowance)
            await file_records.add_files(connection, made.id, made.next_version, files)
            await connection.execute(
                ArtifactVersion.__table__.insert(),  # type: ignore[attr-defined]
                {
                    "artifact": made.id, "number": made.next_version, "name": "v0", "comment": None,
                    "created_at": parts.now(), "edits": 0, "type": made.type, "manifest": made.manifest,
                    "config": dict(made.config), "file_count": len(files), "size": own,
                },
            )  # fmt: skip
            await records.change(
                connection, made.id, intent=None, round=None, version_count=1, file_count=len(files),
                next_version=made.next_version + 1, size=made.size + own,
            )  # fmt: skip
        parts.committed(made)


async def _check_no_circle(connection: AsyncConnection, artifact: str, parent: str) -> None:
    """Refuse a parent that is the artifact itself, or inside of it."""
    seen: set[str] = set()
    at: str | None = parent
    while at is not None:
        if at == artifact:
            raise InvalidRequest(
                "This would be a circular reference: the new parent is the artifact, or in it."
            )
        if at in seen:
            raise VersionConflict("The collections are being changed by somebody else: try again.")
        seen.add(at)
        query = select(Table.parent_id).where(Table.id == at).with_for_update()
        at = (await connection.execute(query)).scalar_one_or_none()
