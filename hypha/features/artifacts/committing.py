"""Commits: what is staged becomes a version, in one transaction that readers see whole or not at all.

The bytes are put in place first, under names that nobody knows yet; then one transaction writes the version,
its files and the artifact. A crash before it leaves the old state, and folders that the next commit cleans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.errors import LimitReached, ObjectNotFound, QuotaExceeded
from hypha.features.artifacts import file_records, records
from hypha.features.artifacts.artifact import EDIT_VERSION, Artifact, FileNotFound, Version
from hypha.features.artifacts.file_records import File, Staged
from hypha.features.artifacts.garbage import GRACE_S
from hypha.features.artifacts.ids import Reference
from hypha.features.artifacts.parts import Parts
from hypha.features.artifacts.schemas import check_against_beside
from hypha.features.artifacts.sharing import Sharing, digest
from hypha.features.artifacts.tables import ArtifactVersion
from hypha.features.progress import Progress
from hypha.objects.store import ObjectInfo
from hypha.store.records import WorkspaceRecord

MAX_VERSIONS = 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """A commit that is about to be written: the artifact as it will be, and the files that come and go."""

    before: Artifact
    after: Artifact
    version: Version
    is_new: bool
    files: Sequence[File]
    removed: Sequence[str]


class Committing:
    """Makes versions."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._sharing = Sharing(parts)

    async def commit(
        self,
        artifact: Artifact,
        name: str | None = None,
        comment: str | None = None,
        *,
        changes: Mapping[str, Any] | None = None,
        intent: str | None = None,
        progress: Progress | None = None,
    ) -> Artifact:
        """Make what is staged of an artifact a version, or a change of the latest one.

        `changes` are fields in place of those that are staged; `intent` says what comes of an artifact that
        is not staged. The caller holds the artifact's lock, has read it under it, and lets nobody cancel
        this.

        Raises:
            FileNotFound: a staged file was never uploaded. InvalidRequest: the manifest does not fit the
                collection's schema, or the version is none. VersionExists. QuotaExceeded, StorageFull.
        """
        parts = self._parts
        edited = artifact.latest if (intent or artifact.intent) == EDIT_VERSION else None
        after = replace(artifact.as_staged(), **(changes or {}))
        plan = self._plan(artifact, after, edited, name, comment)
        schema = artifact.parent_config.get("collection_schema")
        await check_against_beside(parts.crew, schema, plan.after.manifest)
        record = await parts.access.check_writable(artifact.workspace, is_admin=True)
        staged = await parts.files.staged(artifact.id)
        coming = [each for each in staged if not each.is_removed]
        copied = await self._put_in_place(artifact, plan.version, coming, progress or Progress())
        if artifact.is_committed or not all(info.sha256 for info in copied):  # something will be read
            await self._check_room(record, plan, coming, sum(info.size for info in copied))
        files = await self._hashed(place_of(plan.version), coming, copied)
        if artifact.is_committed:
            files = await self._sharing.share(artifact, files)
        version = replace(plan.version, file_count=len(files)) if plan.is_new else plan.version
        plan = replace(
            plan,
            version=version,
            files=files,
            removed=[each.path for each in staged if each.is_removed],
            after=replace(plan.after, config=_with_weights(plan.after.config, staged)),
        )
        async with parts.data.writing() as connection:
            await self._write(connection, record, plan)
        parts.garbage.wake()
        parts.committed(artifact, plan.after)
        return await self._written(plan)

    async def _written(self, plan: Plan) -> Artifact:
        """The artifact after a commit."""
        if not plan.is_new:
            return await self._parts.artifacts.get(Reference(id=plan.after.id)) or plan.after
        kept = records.version_size(plan.after.manifest, plan.after.config, plan.version.comment)
        version = replace(plan.version, size=kept)
        return replace(
            plan.after, intent=None, round=None, staged={}, staged_files=0, file_count=version.file_count,
            versions=(*plan.before.versions, version), change=plan.before.change + 1,
            next_version=version.number + 1, size=plan.before.size + _added_size(plan),
        )  # fmt: skip

    def _plan(
        self,
        artifact: Artifact,
        after: Artifact,
        edited: Version | None,
        name: str | None,
        comment: str | None,
    ) -> Plan:
        now = self._parts.now()
        after = replace(after, staged={}, last_modified=now)
        if edited is None:
            if len(artifact.versions) >= MAX_VERSIONS:
                raise LimitReached(f"An artifact has at most {MAX_VERSIONS} versions: delete some.")
            number = artifact.next_version
            version = Version(number, artifact.free_version(name), comment, now)
            return Plan(artifact, after, version, True, (), ())
        text = edited.comment if comment is None else comment
        version = replace(edited, edits=edited.edits + 1, comment=text)
        return Plan(artifact, after, version, False, (), ())

    # -- bytes

    async def _put_in_place(
        self, artifact: Artifact, version: Version, staged: Sequence[Staged], progress: Progress
    ) -> Sequence[ObjectInfo]:
        progress.expect(len(staged))
        store, folder = self._parts.store, f"{artifact.folder}/{place_of(version)}"
        await store.delete_folder(f"{folder}/")  # of a commit that did not end

        def placed(some: Sequence[ObjectInfo]) -> None:
            progress.add(len(some), sum(info.size for info in some))

        pairs: list[tuple[str, str]] = []
        async for some in file_records.in_turns(staged):
            pairs += [(artifact.stage_key(each.path), f"{folder}/{each.path}") for each in some]
        try:
            return await store.copy_many(pairs, placed)
        except ObjectNotFound as error:
            raise await self._missing(artifact, staged) or error from None

    async def _check_room(
        self, record: WorkspaceRecord, plan: Plan, coming: Sequence[Staged], size: int
    ) -> None:
        """Refuse what would be too much before anything is read of it; the transaction has the last word.

        Raises:
            QuotaExceeded.
        """
        usage, artifact, count = self._parts.usage, plan.before, len(coming)
        allowance = self._parts.access.allowance(record, file_records.KIND)
        try:
            await usage.check(record, file_records.KIND, count, size, allowance)
        except QuotaExceeded:
            if plan.is_new:
                raise
            paths = [each.path for each in coming]
            gone = await self._parts.files.find(artifact.id, plan.version.number, paths)
            count, size = count - len(gone), size - sum(file.size for file in gone.values())
            await usage.check(record, file_records.KIND, count, size, allowance)

    async def _hashed(self, place: str, staged: Sequence[Staged], copied: Sequence[ObjectInfo]) -> list[File]:
        files: list[File] = []
        async for some in file_records.in_turns(copied):
            for info in some:
                path, sha256 = staged[len(files)].path, info.sha256 or await digest(self._parts, info.key)
                file = File(path, place, info.size, info.etag, sha256, info.content_type, info.modified)
                files.append(file)
        return files

    async def _missing(self, artifact: Artifact, staged: Sequence[Staged]) -> FileNotFound | None:
        """What is said of the first file that was never uploaded."""
        for each in staged:
            try:
                await self._parts.store.head(artifact.stage_key(each.path))
            except ObjectNotFound:
                return FileNotFound(
                    f"File '{each.path}' does not exist in the artifact: it was announced and never "
                    "uploaded. Upload it, or take it back with remove_file."
                )
        return None

    # -- the transaction

    async def _write(self, connection: AsyncConnection, record: WorkspaceRecord, plan: Plan) -> None:
        artifact, version = plan.before, plan.version
        await self._write_fields(connection, plan)
        gone: list[tuple[str, str, int]] = []
        if not plan.is_new:
            gone = await self._take_out(connection, plan)
            version = replace(version, file_count=version.file_count + len(plan.files) - len(gone))
            await records.change(connection, artifact.id, file_count=version.file_count)
        await file_records.add_files(connection, artifact.id, version.number, plan.files)
        await self._count(connection, record, plan, gone)
        await self._write_version(connection, plan, version)
        await file_records.unstage_all(connection, artifact.id)
        if artifact.round:
            stage = f"{artifact.folder}/stage/{artifact.round}/"
            await records.discard_later(connection, [stage], self._parts.clock())
        after = plan.after
        if after.config.get("permissions") != artifact.config.get("permissions"):
            await records.write_grants(connection, artifact.id, after.config.get("permissions"))

    @staticmethod
    async def _write_fields(connection: AsyncConnection, plan: Plan) -> None:
        """Write the fields of the artifact, and hold its row until the transaction ends.

        Raises:
            VersionConflict: it was changed since it was read.
        """
        artifact, after, version = plan.before, plan.after, plan.version
        await records.replace(
            connection, artifact, type=after.type, manifest=after.manifest, config=dict(after.config),
            intent=None, round=None, staged=None, staged_files=0, last_modified=after.last_modified,
            version_count=len(artifact.versions) + plan.is_new, file_count=version.file_count,
            next_version=max(artifact.next_version, version.number + 1),
            size=artifact.size + _added_size(plan),
        )  # fmt: skip

    async def _take_out(self, connection: AsyncConnection, plan: Plan) -> list[tuple[str, str, int]]:
        """Files of the edited version that were removed, or whose bytes are replaced."""
        artifact = plan.before
        paths = [*plan.removed, *(file.path for file in plan.files)]
        gone = await file_records.remove_files(connection, artifact.id, plan.version.number, paths)
        kept = {(file.place, file.path) for file in plan.files}  # the same bytes again
        unused = [(place, path) for place, path, _ in gone if (place, path) not in kept]
        if len(artifact.versions) > 1:
            unused = await file_records.unused_of(connection, artifact.id, unused)
        keys = [f"{artifact.folder}/{place}/{path}" for place, path in unused]
        await records.discard_later(connection, keys, self._parts.clock() + GRACE_S)
        return gone

    async def _count(
        self,
        connection: AsyncConnection,
        record: WorkspaceRecord,
        plan: Plan,
        gone: Sequence[tuple[str, str, int]],
    ) -> None:
        access, usage = self._parts.access, self._parts.usage
        size = sum(file.size for file in plan.files) - sum(each[2] for each in gone)
        count = len(plan.files) - len(gone)
        if count or size:
            allowance = access.allowance(record, file_records.KIND)
            await usage.add(connection, record, file_records.KIND, count, size, allowance)
        allowance = access.allowance(record, records.KIND)
        await usage.add(connection, record, records.KIND, 0, _added_size(plan), allowance)

    async def _write_version(self, connection: AsyncConnection, plan: Plan, version: Version) -> None:
        after = plan.after
        kept: dict[str, Any] = {
            "type": after.type,
            "manifest": after.manifest,
            "config": dict(after.config),
            "size": records.version_size(after.manifest, after.config, version.comment),
        }
        if plan.is_new:
            await records.add_version(connection, plan.before, version, kept)
            return
        kept |= {"edits": version.edits, "comment": version.comment, "file_count": version.file_count}
        where = ArtifactVersion.artifact == after.id, ArtifactVersion.number == version.number
        await connection.execute(update(ArtifactVersion).where(*where).values(kept))


def place_of(version: Version) -> str:
    """The folder of an artifact for files that come with a commit: one for each change of a version."""
    return f"v{version.number}" if not version.edits else f"v{version.number}.{version.edits}"


def _added_size(plan: Plan) -> int:
    """By how much the records grow: the artifact's own fields, and those that the version keeps."""
    before, after, comment = plan.before, plan.after, plan.version.comment
    staged = records.record_size(before.staged) if before.staged else 0
    then = records.record_size(before.manifest, before.config)
    own = records.record_size(after.manifest, after.config)
    kept = records.version_size(after.manifest, after.config, comment)
    return own + kept - then - staged - plan.version.size


def _with_weights(config: Mapping[str, Any], staged: Sequence[Staged]) -> Mapping[str, Any]:
    weights = {each.path: each.weight for each in staged if each.weight > 0 and not each.is_removed}
    if not weights:
        return config
    return {**config, "download_weights": {**(config.get("download_weights") or {}), **weights}}
