"""New artifacts: under which alias, in which workspace and collection, and in place of another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.background import to_its_end
from hypha.errors import (
    AlreadyExists,
    ArtifactNotFound,
    InvalidRequest,
    PermissionDenied,
    VersionConflict,
)  # fmt: skip
from hypha.features.artifacts import file_records, records
from hypha.features.artifacts.artifact import NEW_VERSION, Artifact, Version
from hypha.features.artifacts.file_records import File, Staged
from hypha.features.artifacts.housing import Housing
from hypha.features.artifacts.ids import (
    Reference,
    alias_maker,
    check_alias,
    is_pattern,
    new_id,
    parse_reference,
)
from hypha.features.artifacts.parts import Parts
from hypha.features.artifacts.places import Place
from hypha.features.artifacts.schemas import check_against_beside
from hypha.features.artifacts.secrets import Secrets
from hypha.features.artifacts.tables import ArtifactFile, ArtifactSecret, ArtifactVersion
from hypha.ids import random_id
from hypha.store.records import WorkspaceRecord
from hypha.store.workspaces import ensure
from hypha.workspaces.lifecycle import Workspaces

ROUNDS, PER_ROUND = 10, 10
"""How often a free alias is looked for, and how many candidates each time."""


@dataclass(frozen=True, slots=True)
class Copy:
    """Files that lie in place for a new artifact already, in a folder that no record names yet.

    Args:
        id: of the new artifact; that of `target` where it takes the place of one, which must be as it was.
        place: the folder of the artifact; of a draft, `stage/` and its round.
        note: of the folder among the garbage, see `Garbage.unrecorded`.
    """

    id: str
    target: Artifact | None
    place: str
    note: int = 0
    files: Sequence[File] = ()

    @property
    def round(self) -> str:
        """The round of a draft."""
        return self.place.removeprefix("stage/")


@dataclass(frozen=True, slots=True)
class Wish:
    """A new artifact as its maker wants it; every field is checked already.

    `place` is the storage that its secrets name.
    """

    workspace: str
    alias: str | None
    parent: Artifact | None
    type: str
    manifest: dict[str, Any]
    config: dict[str, Any]
    secrets: Mapping[str, Any]
    version: str | None = None
    comment: str | None = None
    overwrite: bool = False
    stage: bool = False
    copy: Copy | None = None
    place: Place | None = None


class HasChildren(AlreadyExists):
    """The collection that would be replaced has children."""

    code, rpc_name = "already_exists", "ValueError"


class Creating:
    """Makes artifacts."""

    def __init__(self, parts: Parts, workspaces: Workspaces, secrets: Secrets) -> None:
        self._parts = parts
        self._workspaces = workspaces
        self._secrets = secrets

    async def create(self, wish: Wish, context: Context) -> Artifact:
        """Make an artifact; committed at once, or a draft.

        Raises:
            PermissionDenied: the caller may not, or the workspace does not last. WorkspaceNotFound.
            AlreadyExists: the alias is taken. QuotaExceeded.
        """
        await self._check_rights(wish, context)
        if not wish.stage and wish.parent is not None:
            schema = wish.parent.config.get("collection_schema")
            await check_against_beside(self._parts.crew, schema, wish.manifest)
        wish = replace(wish, config=with_owner(wish.config, context))
        if wish.alias is not None and not is_pattern(wish.alias):
            return await self._create_as(wish, wish.alias, context)
        parts = wish.parent.config.get("id_parts") if wish.parent is not None else None
        make = alias_maker(wish.alias, parts if isinstance(parts, Mapping) else {}, context.user.id)
        for _ in range(ROUNDS * PER_ROUND):
            try:
                return await self._create_as(replace(wish, overwrite=False), make(), context)
            except AlreadyExists:
                continue
        raise AlreadyExists("No free alias was found for this pattern: give it more placeholders.")

    async def target(self, wish: Wish, context: Context) -> Artifact | None:
        """The artifact in whose place `create` would put one; None if it takes nobody's.

        Raises:
            PermissionDenied, WorkspaceNotFound, AlreadyExists: as `create`. HasChildren.
        """
        await self._check_rights(wish, context)
        self._check_workspace(await self._workspaces.require(wish.workspace), context)
        if wish.alias is None or is_pattern(wish.alias):
            return None
        existing = await self._parts.artifacts.get(Reference(workspace=wish.workspace, alias=wish.alias))
        if existing is not None and not wish.overwrite:
            raise _taken(wish.alias)
        if existing is not None:
            await self._check_overwrite(existing, wish, context)
        return existing

    async def _check_rights(self, wish: Wish, context: Context) -> None:
        access = self._parts.access
        caller = await access.caller(context, wish.workspace)
        if wish.parent is not None:
            for operation in ("list", "draft" if wish.stage else "attach"):
                access.check_parent(caller, wish.parent.permissions, operation)
        elif caller.level < Level.READ_WRITE:
            raise PermissionDenied(
                f"User does not have permission to create artifacts in the workspace {wish.workspace}."
            )

    async def _create_as(self, wish: Wish, alias: str, context: Context) -> Artifact:
        async with self._workspaces.changing(wish.workspace, context.user) as resident:
            record = resident.record
            self._check_workspace(record, context)
            return await to_its_end(self._write(wish, check_alias(alias), record, context))

    @staticmethod
    def _check_workspace(record: WorkspaceRecord, context: Context) -> None:
        if not record.persistent:
            raise PermissionDenied(
                f"Cannot create artifact in a non-persistent workspace {record.id}: use one that lasts."
            )
        if record.read_only and not context.user.is_admin:
            raise PermissionDenied(f"Permission denied: the workspace {record.id} is read-only.")

    async def _write(self, wish: Wish, alias: str, record: WorkspaceRecord, context: Context) -> Artifact:
        parts, existing = self._parts, None
        if wish.overwrite:
            existing = await parts.artifacts.get(Reference(workspace=wish.workspace, alias=alias))
        if wish.copy is not None:
            _check_same(wish.copy.target, existing)
        if existing is not None:
            await self._check_overwrite(existing, wish, context)
        artifact = self._made(wish, alias, existing, context)
        try:
            async with parts.locks.held(artifact.id), parts.data.writing() as connection:
                await ensure(connection, record, parts.data.replica)
                if existing is not None:
                    await self._clear(connection, existing)
                await self._insert(connection, artifact, wish, record, existing)
                if wish.copy is not None:
                    await self._insert_files(connection, artifact, wish.copy, record)
        except IntegrityError:
            raise _taken(alias) from None
        parts.committed(artifact, *([existing] if existing is not None else []))
        if existing is not None:
            parts.garbage.wake()
        elif wish.copy is None:
            return artifact
        found = await parts.artifacts.get(Reference(id=artifact.id))
        if found is None:
            raise ArtifactNotFound(f"Artifact with ID '{artifact.full_id}' was deleted meanwhile.")
        return found

    async def _check_overwrite(self, existing: Artifact, wish: Wish, context: Context) -> None:
        await self._parts.access.require(existing, context, "edit", "commit")
        if await self._parts.artifacts.children(existing.id):
            raise HasChildren(
                f"The collection '{existing.full_id}' has children and cannot be overwritten: delete it, or "
                "use another alias."
            )
        parent_id = wish.parent.id if wish.parent is not None else None
        if existing.parent_id not in (None, parent_id):
            await self._parts.access.require_of_parent(existing, context, "detach")

    def _made(self, wish: Wish, alias: str, existing: Artifact | None, context: Context) -> Artifact:
        now, copy = self._parts.now(), wish.copy
        size = records.record_size(wish.manifest, wish.config)
        round_id = copy.round if copy is not None else random_id()
        is_new_draft = {"intent": NEW_VERSION, "round": round_id} if wish.stage else {}
        of_version = records.version_size(wish.manifest, wish.config, wish.comment)
        name = "v0" if wish.version is None else wish.version
        count = len(copy.files) if copy is not None and not wish.stage else 0
        first = Version(0, name, wish.comment, now, file_count=count, size=of_version)
        new = copy.id if copy is not None else new_id(self._parts.clock())
        return Artifact(
            existing.id if existing is not None else new,
            wish.workspace,
            alias,
            wish.type,
            wish.manifest,
            wish.config,
            existing.created_by if existing is not None else context.user.person,
            existing.created_at if existing is not None else now,
            now,
            parent_id=wish.parent.id if wish.parent is not None else None,
            parent_alias=wish.parent.alias if wish.parent is not None else None,
            parent_config=wish.parent.config if wish.parent is not None else {},
            versions=() if wish.stage else (first,),
            next_version=existing.next_version if existing is not None else 0,
            file_count=count,
            size=size if wish.stage else size + of_version,
            home=Housing.home_for(wish.place, wish.parent),
            **is_new_draft,  # type: ignore[arg-type]
        )

    async def _insert(
        self, connection: AsyncConnection, artifact: Artifact, wish: Wish, record: WorkspaceRecord,
        existing: Artifact | None,
    ) -> None:  # fmt: skip
        parts, number = self._parts, artifact.next_version
        added = (0, artifact.size - existing.size) if existing is not None else (1, artifact.size)
        allowance = parts.access.allowance(record, records.KIND)
        await parts.usage.add(connection, record, records.KIND, *added, allowance)
        values = {
            "type": artifact.type, "manifest": artifact.manifest, "config": dict(artifact.config),
            "parent_id": artifact.parent_id, "intent": artifact.intent, "round": artifact.round,
            "home": artifact.home,
            "staged": None, "staged_files": 0, "version_count": len(artifact.versions),
            "next_version": number + len(artifact.versions), "download_count": 0.0, "view_count": 0.0,
            "file_count": artifact.file_count, "last_modified": artifact.last_modified, "size": artifact.size,
        }  # fmt: skip
        if existing is not None:
            await records.change(connection, artifact.id, **values)
        else:
            await records.add(
                connection,
                {
                    **values, "id": artifact.id, "workspace": artifact.workspace, "alias": artifact.alias,
                    "created_by": artifact.created_by, "created_at": artifact.created_at, "change": 0,
                },
            )  # fmt: skip
        for version in artifact.versions:
            kept = {
                "type": artifact.type, "manifest": artifact.manifest, "config": dict(artifact.config),
                "size": version.size,
            }  # fmt: skip
            await records.add_version(connection, artifact, replace(version, number=number), kept)
        permissions = artifact.config.get("permissions")
        await records.write_grants(connection, artifact.id, permissions, is_new=existing is None)
        await self._secrets.write(connection, record, artifact.id, wish.secrets)
        if wish.place is not None:
            await self._secrets.housing.add(connection, artifact, wish.place)

    async def _insert_files(
        self, connection: AsyncConnection, artifact: Artifact, copy: Copy, record: WorkspaceRecord
    ) -> None:
        """Write the files of a copy, as committed or as staged ones; their folder is no garbage any more."""
        parts, files = self._parts, copy.files
        if artifact.round is not None:
            await file_records.stage(
                connection, artifact.id, artifact.round, [Staged(file.path) for file in files]
            )
        elif files:
            size, allowance = (
                sum(file.size for file in files),
                parts.access.allowance(record, file_records.KIND),
            )
            await parts.usage.add(connection, record, file_records.KIND, len(files), size, allowance)
            await file_records.add_files(connection, artifact.id, artifact.next_version, files)
        await records.keep(connection, copy.note, parts.clock())

    async def _clear(self, connection: AsyncConnection, existing: Artifact) -> None:
        """Take out what belongs to an artifact that is overwritten."""
        parts, usage = self._parts, self._parts.usage
        await records.locked(connection, existing)
        count, size = await file_records.use_of(connection, ArtifactFile.artifact == existing.id)
        await usage.remove(connection, existing.workspace, file_records.KIND, count, size)
        await self._secrets.clear(connection, existing.workspace, existing.id)
        places = await file_records.places_of(connection, existing.id)
        for table in (ArtifactFile, ArtifactVersion, ArtifactSecret):
            await connection.execute(delete(table).where(table.artifact == existing.id))
        await file_records.unstage_all(connection, existing.id)
        if existing.round:  # not all of `stage`: what replaces it may be a draft, and has its uploads there
            places.append(f"stage/{existing.round}")
        keys = [f"{existing.folder}/{place}/" for place in places]
        await records.discard_later(connection, keys, parts.clock())


def target_of(
    alias: object, artifact_id: object, workspace: object, parent: Artifact | None, current: str
) -> tuple[str, str | None]:
    """Workspace and alias of an artifact to be made, from what the caller says of both.

    Raises:
        InvalidRequest: that contradicts itself.
    """
    if artifact_id is not None:
        if alias is not None or workspace is not None:
            raise InvalidRequest("artifact_id says workspace and alias: leave both out.")
        found = parse_reference(artifact_id, "")
        if found.id or not found.workspace:
            raise InvalidRequest(
                "artifact_id must be `workspace/alias`; use alias for one in your workspace."
            )
        workspace, alias = found.workspace, found.alias
    elif isinstance(alias, str) and "/" in alias:
        found = parse_reference(alias, "")
        if workspace not in (None, found.workspace):
            raise InvalidRequest(f"The alias names another workspace than {workspace}.")
        workspace, alias = found.workspace, found.alias
    if alias is not None and not is_pattern(str(alias)):
        alias = check_alias(alias)
    if workspace is not None and not isinstance(workspace, str):
        raise InvalidRequest("The workspace is a text.")
    if parent is not None and workspace not in (None, parent.workspace):
        raise InvalidRequest(
            f"The parent artifact is in the workspace {parent.workspace}: so must be its children."
        )
    chosen = workspace or (parent.workspace if parent is not None else current)
    return chosen, alias if alias is None else str(alias).strip()


def with_owner(config: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """The config of a new artifact: its maker may do everything with it."""
    if context.user.is_anonymous:  # all strangers over HTTP share one id
        return dict(config)
    return {**config, "permissions": {**(config.get("permissions") or {}), context.user.id: "*"}}


def check_parent(parent: Artifact) -> None:
    """Refuse a parent that is nothing yet.

    Raises:
        InvalidRequest.
    """
    if not parent.is_committed and not parent.manifest:
        raise InvalidRequest(f"The parent artifact '{parent.full_id}' must be committed first.")


def _check_same(target: Artifact | None, existing: Artifact | None) -> None:
    """Refuse to put a copy in another place than its files were made for."""
    wanted, found = ((each.id, each.change) if each else None for each in (target, existing))
    if wanted != found:
        raise VersionConflict(records.CHANGED)


def _taken(alias: str) -> AlreadyExists:
    return AlreadyExists(
        f"Artifact with alias '{alias}' already exists, please choose a different alias or "
        "use overwrite=True."
    )
