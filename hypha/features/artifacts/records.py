"""Artifacts in the database: read as a whole, written field by field in one transaction each."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Row, bindparam, delete, func, insert, select, type_coerce, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from hypha.errors import ArtifactNotFound, VersionConflict
from hypha.features.artifacts.artifact import Artifact, Version
from hypha.features.artifacts.ids import Reference
from hypha.features.artifacts.permissions import as_grants, folded, operations_of
from hypha.features.artifacts.tables import Artifact as Table
from hypha.features.artifacts.tables import ArtifactGarbage, ArtifactGrant, ArtifactVersion
from hypha.store.base import Json
from hypha.store.prepared import Prepared
from hypha.store.repository import Connections, Repository

KIND = Table.__tablename__
"""Artifacts and the bytes of their records, as a workspace's use is counted."""

CHANGED = "The artifact was changed by somebody else meanwhile: try again."

_PARENT = aliased(Table)
_COLUMNS = (
    Table.id, Table.workspace, Table.alias, Table.type, Table.manifest, Table.config, Table.created_by,
    Table.created_at, Table.last_modified, Table.parent_id, Table.intent, Table.round, Table.staged,
    Table.staged_files, Table.change, Table.next_version, Table.download_count, Table.view_count,
    Table.file_count, Table.size, Table.home,
)  # fmt: skip


class Artifacts(Repository):
    """Artifacts by id, or by workspace and alias."""

    async def get(self, reference: Reference) -> Artifact | None:
        """An artifact with its versions and what its parent grants; None if there is none."""
        async with self._connections.reading() as connection:
            return await find(connection, reference)

    async def many(self, ids: Sequence[str]) -> list[Artifact]:
        """Several artifacts by their internal ids, in the order of the ids."""
        async with self._connections.reading() as connection:
            rows = await connection.execute(_MANY.statement(connection.dialect.name), {"ids": ids})
            found = {row.id: _artifact(row) for row in rows}
        return [found[each] for each in ids if each in found]

    async def snapshot(self, artifact: str, number: int) -> Mapping[str, Any] | None:
        """Type, manifest and config of a version; None if it is gone."""
        query = select(
            ArtifactVersion.type, ArtifactVersion.manifest, ArtifactVersion.config, ArtifactVersion.file_count
        ).where(ArtifactVersion.artifact == artifact, ArtifactVersion.number == number)
        async with self._connections.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else {**row._mapping, "config": row.config or {}}

    async def children(self, artifact: str) -> int:
        """How many artifacts have it as their parent."""
        async with self._connections.reading() as connection:
            return int((await _CHILDREN.run(connection, {"parent": artifact})).scalar_one())

    async def count(self, artifact: str, *, views: float = 0.0, downloads: float = 0.0) -> None:
        """Add to the counters, exactly, whoever else does so at the same time."""
        values = {"at": artifact, "views": views, "downloads": downloads}
        async with self._connections.writing() as connection:
            await _COUNTED.run(connection, values)

    async def reset_counts(self, artifact: str) -> None:
        """Begin to count anew."""
        values = {"view_count": 0.0, "download_count": 0.0}
        async with self._connections.writing() as connection:
            await connection.execute(update(Table).where(Table.id == artifact).values(values))


async def find(connection: AsyncConnection, reference: Reference) -> Artifact | None:
    """An artifact, in the caller's transaction."""
    by, values = _BY_ALIAS, {"workspace": reference.workspace, "alias": reference.alias}
    if reference.id:
        by, values = _BY_ID, {"id": reference.id}
    row = (await by.run(connection, values)).one_or_none()
    return None if row is None else _artifact(row)


async def locked(connection: AsyncConnection, artifact: Artifact) -> None:
    """Hold an artifact's row until the transaction ends, unless it changed since it was read.

    Raises:
        VersionConflict: something was.
    """
    change = (await _LOCKED.run(connection, {"at": artifact.id})).scalar_one_or_none()
    if change != artifact.change:
        raise VersionConflict(CHANGED)


async def add(connection: AsyncConnection, values: Mapping[str, Any]) -> None:
    """Write a new artifact.

    Raises:
        IntegrityError: its alias is taken.
    """
    await _ADD.run(connection, values)


async def change(connection: AsyncConnection, artifact: str, **values: Any) -> None:
    """Write fields of an artifact, and that it changed."""
    await _CHANGE.run(connection, {"at": artifact, **values})


async def replace(connection: AsyncConnection, artifact: Artifact, **values: Any) -> None:
    """The same as `locked` and then `change`.

    Raises:
        VersionConflict: something was changed since the artifact was read.
    """
    changed = await _REPLACE.run(connection, {"at": artifact.id, "was": artifact.change, **values})
    if changed.rowcount != 1:
        raise VersionConflict(CHANGED)


async def write_grants(
    connection: AsyncConnection, artifact: str, permissions: object, *, is_new: bool = False
) -> None:
    """Write who may list an artifact, in place of who could before; a new one has nothing to replace."""
    if not is_new:
        await connection.execute(delete(ArtifactGrant).where(ArtifactGrant.artifact == artifact))
    rows: dict[str, dict[str, Any]] = {}
    for who, level in as_grants(permissions).items():
        given = operations_of(level)
        row = rows.setdefault(
            folded(who), {"artifact": artifact, "who": folded(who), "may_list": False, "may_edit": False}
        )
        row["may_list"] |= "list" in given
        row["may_edit"] |= bool(given & {"edit", "put_file"})
    if rows:
        await _ADD_GRANTS.run(connection, list(rows.values()))


async def add_version(
    connection: AsyncConnection, artifact: Artifact, version: Version, values: Mapping[str, Any]
) -> None:
    """Write a version with the fields of the artifact that it keeps."""
    row = {
        "artifact": artifact.id,
        "number": version.number,
        "name": version.name,
        "comment": version.comment,
        "created_at": version.created_at,
        "edits": version.edits,
        "file_count": version.file_count,
        **values,
    }
    await _ADD_VERSION.run(connection, row)


@contextlib.asynccontextmanager
async def changing(connections: Connections) -> AsyncIterator[AsyncConnection]:
    """A transaction that adds to an artifact which was found before.

    Raises:
        ArtifactNotFound: it was deleted meanwhile.
    """
    try:
        async with connections.writing() as connection:
            yield connection
    except IntegrityError:
        raise ArtifactNotFound("The artifact was deleted meanwhile.") from None


async def discard_later(connection: AsyncConnection, keys: Sequence[str], due: float) -> None:
    """Note folders (with `/` at the end) and files of the object store that are to go."""
    if keys:
        await _DISCARD.run(connection, [{"key": key, "due": due} for key in keys])


async def keep(connection: AsyncConnection, note: int, now: float) -> None:
    """Take back that a folder is to go, by the number of its note: a record names it now.

    Raises:
        VersionConflict: it may be gone already.
    """
    where = ArtifactGarbage.id == note, ArtifactGarbage.due > now
    if (await connection.execute(delete(ArtifactGarbage).where(*where))).rowcount != 1:
        raise VersionConflict("The files took too long to come, and were deleted again: try again.")


def record_size(*values: Any) -> int:
    """Bytes that fields take as JSON."""
    return sum(len(orjson.dumps(value)) for value in values)


def version_size(manifest: Any, config: Any, comment: str | None) -> int:
    """Bytes that a version takes: the fields that it keeps, and what is said of it."""
    return record_size(manifest, config) + len((comment or "").encode("utf-8", "replace"))


def _versions(database: str) -> Any:
    """The versions of an artifact as a JSON list, so that both come with one statement."""
    columns = (
        ArtifactVersion.number, ArtifactVersion.name, ArtifactVersion.comment, ArtifactVersion.created_at,
        ArtifactVersion.edits, ArtifactVersion.file_count, ArtifactVersion.size,
    )  # fmt: skip
    if database == "postgresql":
        gathered = func.jsonb_agg(func.jsonb_build_array(*columns))
    else:
        gathered = func.json_group_array(func.json_array(*columns))
    query = select(type_coerce(gathered, Json)).where(ArtifactVersion.artifact == Table.id)
    return query.correlate(Table).scalar_subquery().label("versions")


def _finding(*where: ColumnElement[bool]) -> Prepared:
    return Prepared(partial(_query, where))


def _query(where: Sequence[ColumnElement[bool]], database: str) -> Any:
    parent = _PARENT.alias.label("parent_alias"), _PARENT.config.label("parent_config")
    return (
        select(*_COLUMNS, *parent, _versions(database))
        .outerjoin(_PARENT, _PARENT.id == Table.parent_id)
        .where(*where)
    )


# Made once: to build such a statement takes longer than to run it.
_BY_ID = _finding(Table.id == bindparam("id"))
_BY_ALIAS = _finding(Table.workspace == bindparam("workspace"), Table.alias == bindparam("alias"))
_MANY = _finding(Table.id.in_(bindparam("ids", expanding=True)))
_CHILDREN = Prepared(select(func.count()).select_from(Table).where(Table.parent_id == bindparam("parent")))
_COUNTED = Prepared(
    update(Table)
    .where(Table.id == bindparam("at"))
    .values(
        view_count=Table.view_count + bindparam("views"),
        download_count=Table.download_count + bindparam("downloads"),
    )
)
_ADD, _ADD_VERSION, _ADD_GRANTS, _DISCARD = (
    Prepared(insert(table)) for table in (Table, ArtifactVersion, ArtifactGrant, ArtifactGarbage)
)
_LOCKED = Prepared(select(Table.change).where(Table.id == bindparam("at")).with_for_update())
_CHANGING = update(Table).where(Table.id == bindparam("at")).values(change=Table.change + 1)
_CHANGE, _REPLACE = Prepared(_CHANGING), Prepared(_CHANGING.where(Table.change == bindparam("was")))


def _artifact(row: Row[Any]) -> Artifact:
    fields = dict(row._mapping)
    for name in ("config", "staged", "parent_config"):
        fields[name] = fields[name] or {}
    fields["versions"] = tuple(Version(*values) for values in sorted(fields["versions"] or ()))
    return Artifact(**fields)
