"""Artifacts in collections: moved from one to another, and copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.errors import InvalidRequest, PermissionDenied, VersionConflict
from hypha.features.artifacts import records
from hypha.features.artifacts.artifact import Artifact
from hypha.features.artifacts.creating import Copy, Creating, Wish
from hypha.features.artifacts.file_records import File, in_turns
from hypha.features.artifacts.files import FileView
from hypha.features.artifacts.housing import Housing
from hypha.features.artifacts.ids import Reference, new_id
from hypha.features.artifacts.parts import Parts
from hypha.features.artifacts.schemas import check_against_beside
from hypha.features.artifacts.tables import Artifact as Table
from hypha.features.progress import Progress
from hypha.ids import random_id
from hypha.objects.homes import folder_at
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

        The bytes are shared on disk where the store can. They are put in place first, then one transaction
        writes the artifact: one whose place it takes, the source itself too, stays until then.

        Raises:
            InvalidRequest: the source is not committed. VersionConflict: it, or what would be replaced, was
                changed meanwhile. And as `Creating.create`.
        """
        if not source.is_committed:
            raise InvalidRequest(f"The artifact '{source.full_id}' is not committed: commit it first.")
        if not wish.stage and wish.parent is not None:
            schema = wish.parent.config.get("collection_schema")
            await check_against_beside(self._parts.crew, schema, wish.manifest)
        copy = self._planned(wish, await self._creating.target(wish, context))
        folder = f"{folder_at(wish.workspace, Housing.home_for(wish.place, wish.parent))}/{copy.id}"
        filled = folder if copy.target is None else f"{folder}/{copy.place}"
        async with self._parts.garbage.unrecorded(f"{filled}/") as note:
            files = await self._copied(source, folder, copy.place, progress)
            there = replace(copy, note=note, files=files)
            return await self._creating.create(replace(wish, copy=there), context)

    def _planned(self, wish: Wish, target: Artifact | None) -> Copy:
        """Where a copy will lie: in a folder that nothing names, and that no other copy or commit takes."""
        if wish.stage:
            place = f"stage/{random_id()}"
        else:
            place = "v0" if target is None else f"v{target.next_version}-{random_id()}"
        return Copy(new_id(self._parts.clock()) if target is None else target.id, target, place)

    async def _copied(self, source: Artifact, folder: str, place: str, progress: Progress) -> list[File]:
        """The files of an artifact as they lie in a place of another one's folder, where they are put."""
        files = await self._view.all_of(source, None)
        current = await self._parts.artifacts.get(Reference(id=source.id))
        if current is None or current.latest != source.latest:  # the files may be of two versions, or none
            raise VersionConflict(records.CHANGED)
        progress.expect(len(files))

        def copied(some: Sequence[ObjectInfo]) -> None:
            progress.add(len(some), sum(info.size for info in some))

        pairs, placed = list[tuple[str, str]](), list[File]()
        async for some in in_turns(files):
            placed += [replace(file, place=place) for file in some]
            pairs += [(file.key(source.folder), f"{folder}/{place}/{file.path}") for file in some]
        await self._parts.store.copy_many(pairs, copied)
        return placed


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
