"""Files of artifacts in the database: what each version holds, and what is staged for the next commit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)  # fmt: skip
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.errors import LimitReached, QuotaExceeded
from hypha.features.artifacts.paths import joined, split
from hypha.features.artifacts.tables import Artifact, ArtifactFile, ArtifactUpload, StagedFile
from hypha.store.prepared import Prepared, together
from hypha.store.repository import Repository

Item = TypeVar("Item")

KIND = ArtifactFile.__tablename__
"""Committed files and their bytes, as a workspace's use is counted."""
SHOWN = "artifact_files"
"""What people call them."""
MAX_STAGED_FILES = 100_000
MAX_UPLOADS = 1000
"""In parts, not complete, to all artifacts of a workspace."""
READ_AT_ONCE = 2000
"""Files that are read, or worked on, in a turn of the event loop."""
BATCH = 500
"""Rows that one statement names."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a version; `place` is the folder of the artifact in which its bytes lie."""

    path: str
    place: str
    size: int
    etag: str
    sha256: str
    content_type: str
    modified: float

    def key(self, folder: str) -> str:
        """Its key in the object store, in the folder of its artifact."""
        return f"{folder}/{self.place}/{self.path}"


@dataclass(frozen=True, slots=True)
class Staged:
    """A file that was announced for the next commit, or is to go then; what its download counts."""

    path: str
    is_removed: bool = False
    weight: float = 0.0


class Files(Repository):
    """Files by artifact, version and path."""

    async def find(self, artifact: str, version: int, paths: Sequence[str]) -> dict[str, File]:
        """Those of the named files that a version has."""
        found: dict[str, File] = {}
        async with self._connections.reading() as connection:
            if len(paths) == 1:
                values = {"artifact": artifact, "version": version, **_names(paths[0])}
                row = (await _FIND_ONE.run(connection, values)).one_or_none()
                return {} if row is None else {paths[0]: _file(row)}
            for some in batches(paths):
                where = ArtifactFile.artifact == artifact, ArtifactFile.version == version
                for row in await _found_at(connection, ArtifactFile, _FILE, some, *where):
                    file = _file(row)
                    found[file.path] = file
        return found

    async def with_content(self, artifact: str, digests: Sequence[str]) -> list[File]:
        """One file of each content type with each of these digests (sha-256, hex), of the newest version."""
        found: list[File] = []
        of_same = [ArtifactFile.sha256, ArtifactFile.content_type]
        rank = func.row_number().over(partition_by=of_same, order_by=ArtifactFile.version.desc())
        async with self._connections.reading() as connection:
            for some in batches(digests):
                where = ArtifactFile.artifact == artifact, ArtifactFile.sha256.in_(some)
                ranked = select(*_FILE, rank.label("rank")).where(*where).subquery()
                query = select(*(ranked.c[column.key] for column in _FILE)).where(ranked.c.rank == 1)
                found += [_file(row) for row in await connection.execute(query)]
        return found

    async def page(self, artifact: str, version: int, after: str = "", limit: int = 1000) -> list[File]:
        """Files of a version, in the order of their paths as tables have them: folder, then name."""
        folder, name = split(after)
        query = (
            select(*_FILE)
            .where(ArtifactFile.artifact == artifact, ArtifactFile.version == version)
            .order_by(ArtifactFile.folder, ArtifactFile.name)
            .limit(limit)
        )
        if after:
            query = query.where(
                tuple_(ArtifactFile.folder, ArtifactFile.name) > tuple_(literal(folder), literal(name))
            )
        async with self._connections.reading() as connection:
            return [_file(row) for row in await connection.execute(query)]

    async def level(
        self, artifact: str, version: int, folder: str, offset: int, limit: int
    ) -> tuple[list[File], list[str]]:
        """The files of a folder and then the names of the folders in it, as a page of both together."""
        of_folder = (
            ArtifactFile.artifact == artifact, ArtifactFile.version == version, ArtifactFile.folder == folder,
        )  # fmt: skip
        query = select(*_FILE).where(*of_folder).order_by(ArtifactFile.name).limit(limit).offset(offset)
        async with self._connections.reading() as connection:
            files = [_file(row) for row in await connection.execute(query)]
            if len(files) == limit:
                return files, []
            count = select(func.count()).select_from(ArtifactFile).where(*of_folder)
            skipped = offset - int((await connection.execute(count)).scalar_one()) if offset else 0
            window = limit - len(files), max(0, skipped)
            is_postgres = connection.dialect.name == "postgresql"
            names = _folders_in(artifact, version, folder, window, is_postgres)
            return files, [row[0] for row in await connection.execute(names)]

    async def staged(self, artifact: str) -> list[Staged]:
        """What is staged of the files, in the order of folder and name; at most 100,000."""
        found: list[Staged] = []
        async with self._connections.reading() as connection:
            while True:
                query, values = _STAGED, {"of": artifact}
                if found:
                    query, values = _STAGED_BEHIND, {**values, **_names(found[-1].path)}
                rows = (await query.run(connection, values)).all()
                found += [Staged(joined(f, n), gone, weight) for f, n, gone, weight in rows]
                if len(rows) < READ_AT_ONCE:
                    return found

    async def staged_of(self, artifacts: Sequence[str]) -> dict[str, list[Staged]]:
        """The same of several artifacts."""
        found: dict[str, list[Staged]] = {}
        query = select(
            StagedFile.artifact, StagedFile.folder, StagedFile.name, StagedFile.is_removed, StagedFile.weight
        ).where(StagedFile.artifact.in_(artifacts))
        async with self._connections.reading() as connection:
            for artifact, folder, name, is_removed, weight in await connection.execute(query):
                found.setdefault(artifact, []).append(Staged(joined(folder, name), is_removed, weight))
        return found

    async def find_staged(self, artifact: str, paths: Sequence[str]) -> dict[str, Staged]:
        """What is staged of the named files."""
        found: dict[str, Staged] = {}
        columns = StagedFile.folder, StagedFile.name, StagedFile.is_removed, StagedFile.weight
        async with self._connections.reading() as connection:
            for some in batches(paths):
                where = StagedFile.artifact == artifact
                rows = await _found_at(connection, StagedFile, columns, some, where)
                for folder, name, is_removed, weight in rows:
                    path = joined(folder, name)
                    found[path] = Staged(path, is_removed, weight)
        return found

    async def upload(self, upload: str) -> Any | None:
        """The upload in parts of an id: `artifact`, `path`, `key`, `expires_at`, `sha256`; None for none."""
        query = select(
            ArtifactUpload.artifact, ArtifactUpload.path, ArtifactUpload.key, ArtifactUpload.expires_at,
            ArtifactUpload.sha256,
        ).where(ArtifactUpload.id == upload)  # fmt: skip
        async with self._connections.reading() as connection:
            return (await connection.execute(query)).one_or_none()

    async def open_upload(
        self, artifact: str, path: str, now: float, sha256: str | None = None
    ) -> str | None:
        """The id of the upload in parts to a path, of this content if one is said, that is open longest."""
        where = [
            ArtifactUpload.artifact == artifact, ArtifactUpload.path == path, ArtifactUpload.expires_at > now,
        ]  # fmt: skip
        if sha256:
            where.append(ArtifactUpload.sha256 == sha256)
        query = select(ArtifactUpload.id).where(*where).order_by(ArtifactUpload.expires_at.desc()).limit(1)
        async with self._connections.reading() as connection:
            return (await connection.execute(query)).scalar_one_or_none()


async def stage(connection: AsyncConnection, artifact: str, round_id: str, files: Sequence[Staged]) -> None:
    """Note files for the next commit; what was staged of them before is replaced.

    Raises:
        LimitReached: too many files would be staged.
    """
    added = 0
    for some in batches(files):
        rows = [
            {"artifact": artifact, **_names(file.path), "is_removed": file.is_removed, "weight": file.weight}
            for file in some
        ]
        gone = await _unstage(connection, artifact, [file.path for file in some])
        await _STAGE.run(connection, rows)
        added += len(rows) - gone
    counted = await _COUNT_STAGED.run(connection, {"at": artifact, "in_round": round_id, "added": added})
    total = counted.scalar_one_or_none()
    if total is None:
        raise LimitReached(
            "The artifact was committed or discarded by somebody else meanwhile: stage it again."
        )
    check_staged(total)


def check_staged(total: int) -> None:
    """Refuse to stage too many files.

    Raises:
        LimitReached.
    """
    if total > MAX_STAGED_FILES:
        raise LimitReached(f"At most {MAX_STAGED_FILES:,} files are staged at once: commit first.")


async def unstage(connection: AsyncConnection, artifact: str, path: str) -> None:
    """Forget what is staged of one file."""
    gone = await _unstage(connection, artifact, [path])
    values = {"staged_files": Artifact.staged_files - gone, "change": Artifact.change + 1}
    await connection.execute(update(Artifact).where(Artifact.id == artifact).values(values))


async def _unstage(connection: AsyncConnection, artifact: str, paths: Sequence[str]) -> int:
    if len(paths) == 1:
        gone = await _UNSTAGE_ONE.run(connection, {"artifact": artifact, **_names(paths[0])})
    else:
        columns, here = (StagedFile.folder, StagedFile.name), StagedFile.artifact == artifact
        known = await _found_at(connection, StagedFile, columns, paths, here)
        rows = [{"artifact": artifact, "folder": folder, "name": name} for folder, name in known]
        if rows:
            await _UNSTAGE_ONE.run(connection, rows)
        return len(rows)
    return int(gone.rowcount)


async def unstage_all(connection: AsyncConnection, artifact: str) -> None:
    """Forget all that is staged of an artifact's files, and uploads in parts to it."""
    values = {"artifact": artifact}
    await together(connection, (_UNSTAGE_ALL, values), (_FORGET_UPLOADS, values))


async def add_files(connection: AsyncConnection, artifact: str, version: int, files: Sequence[File]) -> None:
    """Write files of a version."""
    for some in batches(files):
        rows = [
            {
                "artifact": artifact, "version": version, **_names(file.path), "place": file.place,
                "size": file.size, "etag": file.etag, "sha256": file.sha256,
                "content_type": file.content_type[:256], "modified": file.modified,
            }
            for file in some
        ]  # fmt: skip
        await _ADD_FILES.run(connection, rows)


async def remove_files(
    connection: AsyncConnection, artifact: str, version: int, paths: Sequence[str]
) -> list[tuple[str, str, int]]:
    """Take files out of a version; place, path and size of those that it had."""
    gone: list[tuple[str, str, int]] = []
    for some in batches(paths):
        where = ArtifactFile.artifact == artifact, ArtifactFile.version == version
        wanted = ArtifactFile.place, ArtifactFile.folder, ArtifactFile.name, ArtifactFile.size
        rows = await _found_at(connection, ArtifactFile, wanted, some, *where)
        gone += [(place, joined(folder, name), size) for place, folder, name, size in rows]
        if rows:
            here = ArtifactFile.folder == bindparam("f"), ArtifactFile.name == bindparam("n")
            named = [{"f": folder, "n": name} for _, folder, name, _ in rows]
            await connection.execute(delete(ArtifactFile).where(*where, *here), named)
    return gone


async def unused_of(
    connection: AsyncConnection, artifact: str, files: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Which objects of an artifact (place, path) no version names any more."""
    used: set[tuple[str, str]] = set()
    columns = ArtifactFile.place, ArtifactFile.folder, ArtifactFile.name
    for some in batches(files):
        paths = tuple_(ArtifactFile.folder, ArtifactFile.name).in_([split(path) for _, path in some])
        where = ArtifactFile.artifact == artifact, paths
        for place, folder, name in await connection.execute(select(*columns).where(*where)):
            used.add((place, joined(folder, name)))
    return [each for each in files if each not in used]


async def use_of(connection: AsyncConnection, where: ColumnElement[bool]) -> tuple[int, int]:
    """Number and bytes of committed files."""
    query = select(func.count(), func.coalesce(func.sum(ArtifactFile.size), 0)).where(where)
    count, size = (await connection.execute(query)).one()
    return int(count), int(size)


async def objects_of(connection: AsyncConnection, artifact: str, version: int) -> list[tuple[str, str]]:
    """Place and path of the files of a version that lie where another version names some, too."""
    others = select(ArtifactFile.place).where(
        ArtifactFile.artifact == artifact, ArtifactFile.version != version
    )
    where = ArtifactFile.artifact == artifact, ArtifactFile.version == version, ArtifactFile.place.in_(others)
    columns = ArtifactFile.place, ArtifactFile.folder, ArtifactFile.name
    rows = await connection.execute(select(*columns).where(*where))
    return [(place, joined(folder, name)) for place, folder, name in rows]


async def places_of(connection: AsyncConnection, artifact: str, version: int | None = None) -> list[str]:
    """The folders in which the bytes of files lie: of one version, or of all."""
    where = [ArtifactFile.artifact == artifact]
    if version is not None:
        where.append(ArtifactFile.version == version)
    return list((await connection.execute(select(ArtifactFile.place).where(*where).distinct())).scalars())


async def note_upload(
    connection: AsyncConnection, upload: str, artifact: str, path: str, key: str, now: float, life_s: float,
    sha256: str = "",
) -> None:  # fmt: skip
    """Remember an upload in parts; the digest is empty where it may be of anything.

    Raises:
        QuotaExceeded: its workspace has too many that are not complete.
    """
    workspace = select(Artifact.workspace).where(Artifact.id == artifact).scalar_subquery()
    mine = select(Artifact.id).where(Artifact.workspace == workspace)
    is_open = ArtifactUpload.artifact.in_(mine), ArtifactUpload.expires_at >= now
    count = select(func.count()).select_from(ArtifactUpload).where(*is_open)
    if (await connection.execute(count)).scalar_one() >= MAX_UPLOADS:
        raise QuotaExceeded(
            f"The artifacts of this workspace have {MAX_UPLOADS:,} uploads that are not complete: complete "
            "some, or wait until they expire."
        )
    row = {
        "id": upload, "artifact": artifact, "path": path, "key": key, "expires_at": now + life_s,
        "sha256": sha256,
    }  # fmt: skip
    await connection.execute(insert(ArtifactUpload).values(**row))


async def in_turns(items: Sequence[Item]) -> AsyncIterator[Sequence[Item]]:
    """Several at a time, as many as may be worked on in a turn of the event loop."""
    for start in range(0, len(items), READ_AT_ONCE):
        yield items[start : start + READ_AT_ONCE]
        await asyncio.sleep(0)


def batches(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Several at a time, as many as one statement may name."""
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


_FILE = (
    ArtifactFile.folder, ArtifactFile.name, ArtifactFile.place, ArtifactFile.size, ArtifactFile.etag,
    ArtifactFile.sha256, ArtifactFile.content_type, ArtifactFile.modified,
)  # fmt: skip

_OF_ARTIFACT = StagedFile.artifact == bindparam("artifact")

# Made once: to build such a statement takes longer than to run it.
_FIND_ONE = Prepared(
    select(*_FILE).where(
        ArtifactFile.artifact == bindparam("artifact"), ArtifactFile.version == bindparam("version"),
        ArtifactFile.folder == bindparam("folder"), ArtifactFile.name == bindparam("name"),
    )
)  # fmt: skip
_BEHIND = tuple_(StagedFile.folder, StagedFile.name) > tuple_(
    bindparam("folder", type_=Text), bindparam("name", type_=Text)
)
_FIRST_STAGED = (
    select(StagedFile.folder, StagedFile.name, StagedFile.is_removed, StagedFile.weight)
    .where(StagedFile.artifact == bindparam("of"))
    .order_by(StagedFile.folder, StagedFile.name)
    .limit(READ_AT_ONCE)
)
_STAGED, _STAGED_BEHIND = Prepared(_FIRST_STAGED), Prepared(_FIRST_STAGED.where(_BEHIND))
_STAGE, _ADD_FILES = Prepared(insert(StagedFile)), Prepared(insert(ArtifactFile))
_UNSTAGE_ONE = Prepared(
    delete(StagedFile).where(
        _OF_ARTIFACT, StagedFile.folder == bindparam("folder"), StagedFile.name == bindparam("name")
    )
)
_UNSTAGE_ALL = Prepared(delete(StagedFile).where(_OF_ARTIFACT))
_FORGET_UPLOADS = Prepared(delete(ArtifactUpload).where(ArtifactUpload.artifact == bindparam("artifact")))
_COUNT_STAGED = Prepared(
    update(Artifact)
    .where(Artifact.id == bindparam("at"), Artifact.round == bindparam("in_round"))
    .values(staged_files=Artifact.staged_files + bindparam("added"), change=Artifact.change + 1)
    .returning(Artifact.staged_files)
)


def _names(path: str) -> dict[str, str]:
    folder, name = split(path)
    return {"folder": folder, "name": name}


def _file(row: Any) -> File:
    folder, name, *rest = row
    return File(joined(folder, name), *rest)


async def _found_at(
    connection: AsyncConnection, table: Any, columns: Sequence[Any], paths: Sequence[str],
    *where: ColumnElement[bool],
) -> Sequence[Any]:  # fmt: skip
    """Rows at some of these paths; the name is among the columns."""
    query = rows_at(table, columns, paths, *where, is_postgres=connection.dialect.name == "postgresql")
    return [row for row in await connection.execute(query) if row.name is not None]


def rows_at(
    table: Any, columns: Sequence[Any], paths: Sequence[str], *where: ColumnElement[bool], is_postgres: bool
) -> Select[Any]:
    """A row for each path, empty where there is none: one look into the index for each.

    An outer join, since SQLite turns others round: it looks through all paths for each row of the table then.
    """
    pairs = json.dumps([split(path) for path in paths])
    folder: ColumnElement[Any]
    name: ColumnElement[Any]
    if is_postgres:
        each = func.json_array_elements(cast(literal(pairs, Text), JSON)).table_valued("value", name="wanted")
        folder, name = (each.c.value.op("->>", return_type=Text())(index) for index in (0, 1))
    else:
        each = func.json_each(literal(pairs, Text)).table_valued("value", name="wanted")
        folder, name = (func.json_extract(each.c.value, f"$[{index}]") for index in (0, 1))
    here = and_(*where, table.folder == folder, table.name == name)
    return select(*columns).select_from(each).outerjoin(table, here)


def _folders_in(
    artifact: str, version: int, folder: str, window: tuple[int, int], is_postgres: bool
) -> Select[Any]:
    """Names of the folders in a folder: two looks into the index for each, however many files are in them.

    A folder `a` comes before `a-b` and that before `a/c`, so a name may be met twice.
    """
    start = f"{folder}/" if folder else ""
    here = ArtifactFile.artifact == artifact, ArtifactFile.version == version
    end = [ArtifactFile.folder < f"{folder}0"] if folder else []  # `0` is what comes behind `/`

    def first(after: ColumnElement[bool]) -> Any:
        return select(func.min(ArtifactFile.folder)).where(*here, after, *end).scalar_subquery()

    found = select(first(ArtifactFile.folder > start).label("folder")).cte("found", recursive=True)
    rest = func.substr(found.c.folder, len(start) + 1)
    slash = func.strpos(rest, "/") if is_postgres else func.instr(rest, "/")
    name = case((slash > 0, func.substr(rest, 1, slash - 1)), else_=rest)
    behind = case((slash > 0, literal(start).concat(name).concat("0")), else_=found.c.folder.concat("\x01"))
    following = select(first(ArtifactFile.folder >= behind)).where(found.c.folder.is_not(None))
    found = found.union_all(following)
    rest = func.substr(found.c.folder, len(start) + 1)
    slash = func.strpos(rest, "/") if is_postgres else func.instr(rest, "/")
    shown = case((slash > 0, func.substr(rest, 1, slash - 1)), else_=rest).label("name")
    limit, offset = window
    query = select(shown).where(found.c.folder.is_not(None)).distinct().order_by(shown)
    return query.limit(limit).offset(offset)


async def prolong_upload(connection: AsyncConnection, upload: str, expires_at: float) -> None:
    """Let an upload in parts be open at least until then."""
    where = ArtifactUpload.id == upload, ArtifactUpload.expires_at < expires_at
    await connection.execute(update(ArtifactUpload).where(*where).values(expires_at=expires_at))


async def forget_upload(connection: AsyncConnection, upload: str) -> None:
    """Forget an upload in parts: it is complete."""
    await connection.execute(delete(ArtifactUpload).where(ArtifactUpload.id == upload))


async def end_uploads(connection: AsyncConnection, artifact: str, path: str) -> None:
    """Let uploads in parts to a path be over; their parts are deleted with the next that have expired."""
    where = ArtifactUpload.artifact == artifact, ArtifactUpload.path == path
    await connection.execute(update(ArtifactUpload).where(*where).values(expires_at=0.0))
