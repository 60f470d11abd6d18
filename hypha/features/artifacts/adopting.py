"""Artifacts of a database that the reference implementation wrote: taken over once, at the first start.

Their files lie where ours do, if the object store has them: `{workspace}/artifacts/{id}/v{index}/…`. No
digest of them is on record, so that none is verified before it is uploaded again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.errors import HyphaError, ObjectNotFound
from hypha.features.artifacts import file_records, records
from hypha.features.artifacts.artifact import EDIT_VERSION, NEW_VERSION
from hypha.features.artifacts.file_records import File, Staged
from hypha.features.artifacts.parts import Parts
from hypha.features.artifacts.secrets import Secrets
from hypha.features.artifacts.tables import Artifact as Table
from hypha.features.artifacts.tables import ArtifactVersion
from hypha.ids import random_id, spoken_id
from hypha.objects.store import MAX_LISTED, ObjectInfo
from hypha.store.records import WorkspaceRecord
from hypha.store.reference import ASIDE, is_set_aside
from hypha.store.workspaces import ensure

logger = logging.getLogger(__name__)

TABLE = "artifacts"
NAME = f"{ASIDE}{TABLE}"
BATCH = 200
_JSON = ("manifest", "staging", "versions", "config", "secrets")
_PLAIN = (
    "id", "type", "workspace", "parent_id", "alias", "download_count", "view_count", "file_count",
    "created_at", "last_modified", "created_by",
)  # fmt: skip
_OLD = sa.table(NAME, *(sa.column(each) for each in _PLAIN), *(sa.column(each, sa.JSON) for each in _JSON))


@dataclass(slots=True)
class Taken:
    """What is made of one row: versions with their snapshots and files, and what is staged."""

    versions: list[dict[str, Any]] = field(default_factory=list)
    files: list[list[File]] = field(default_factory=list)
    staged: list[Staged] = field(default_factory=list)


class Adopting:
    """Takes over what is there; a start that is broken off goes on with the next one."""

    def __init__(self, parts: Parts, secrets: Secrets) -> None:
        self._parts = parts
        self._secrets = secrets

    async def run(self) -> int:
        """Take over all artifacts; how many there were."""
        async with self._parts.data.reading() as connection:
            if not await connection.run_sync(is_set_aside, TABLE):
                return 0
        count, after = 0, ""
        while rows := await self._rows(after):
            for row in rows:
                await self._take(row)
            count, after = count + len(rows), rows[-1]["id"]
        async with self._parts.data.writing() as connection:
            parents = sa.select(_OLD.c.parent_id).where(_OLD.c.id == Table.id).scalar_subquery()
            known = sa.select(Table.id).scalar_subquery()
            has_parent = Table.id.in_(sa.select(_OLD.c.id).where(_OLD.c.parent_id.in_(known)))
            await connection.execute(sa.update(Table).where(has_parent).values(parent_id=parents))
            await connection.execute(sa.text(f"ALTER TABLE {NAME} RENAME TO {NAME}_taken"))
        logger.info("%s artifacts of the database of another server were taken over", count)
        return count

    async def _rows(self, after: str) -> Sequence[Mapping[str, Any]]:
        query = sa.select(_OLD).where(_OLD.c.id > after).order_by(_OLD.c.id).limit(BATCH)
        async with self._parts.data.reading() as connection:
            return [dict(row._mapping) for row in await connection.execute(query)]

    async def _take(self, row: Mapping[str, Any]) -> None:
        folder, manifest, config = (
            f"{row['workspace']}/artifacts/{row['id']}",
            row["manifest"],
            row["config"] or {},
        )
        round_id = random_id()
        taken = await self._read(row, folder, round_id)
        record = WorkspaceRecord(row["workspace"], row["workspace"], persistent=True)
        own = records.record_size(manifest, config)
        size = own + sum(version["size"] for version in taken.versions)
        is_staged = row["staging"] is not None or not taken.versions
        intent = (
            (_intent(row["staging"]) or (EDIT_VERSION if taken.versions else NEW_VERSION))
            if is_staged
            else None
        )
        values = {
            "id": row["id"], "workspace": row["workspace"], "alias": row["alias"] or spoken_id(),
            "type": row["type"] or "generic", "manifest": manifest, "config": config, "parent_id": None,
            "created_by": row["created_by"] or "", "created_at": int(row["created_at"] or 0),
            "last_modified": int(row["last_modified"] or 0), "intent": intent,
            "round": round_id if is_staged else None, "staged": None, "staged_files": 0, "change": 0,
            "version_count": len(taken.versions), "next_version": len(taken.versions),
            "download_count": row["download_count"] or 0.0, "view_count": row["view_count"] or 0.0,
            "file_count": len(taken.files[-1]) if taken.files else 0, "size": size,
        }  # fmt: skip
        async with self._parts.data.writing() as connection:
            known = sa.select(Table.id).where(Table.id == row["id"])
            if (await connection.execute(known)).scalar_one_or_none() is not None:
                return
            await ensure(connection, record, self._parts.data.replica)
            await self._write(connection, record, values, taken, row["secrets"] or {})

    async def _write(
        self, connection: AsyncConnection, record: WorkspaceRecord, values: dict[str, Any], taken: Taken,
        secrets: Mapping[str, Any],
    ) -> None:  # fmt: skip
        usage, artifact = self._parts.usage, values["id"]
        await records.add(connection, values)
        for number, (version, files) in enumerate(zip(taken.versions, taken.files, strict=True)):
            row = {"artifact": artifact, "number": number, "edits": 0, "file_count": len(files), **version}
            await connection.execute(sa.insert(ArtifactVersion).values(**row))
            await file_records.add_files(connection, artifact, number, files)
        if taken.staged:
            await file_records.stage(connection, artifact, values["round"], taken.staged)
        await records.write_grants(connection, artifact, values["config"].get("permissions"))
        await usage.add(connection, record, records.KIND, 1, values["size"], None)
        files = [file for some in taken.files for file in some]
        await usage.add(
            connection, record, file_records.KIND, len(files), sum(each.size for each in files), None
        )
        await self._secrets.write(connection, record, artifact, secrets)

    # -- what the object store has

    async def _read(self, row: Mapping[str, Any], folder: str, round_id: str) -> Taken:
        taken = Taken()
        told = [each for each in row["versions"] or [] if isinstance(each, Mapping)]
        for index, version in enumerate(told):
            is_latest = index == len(told) - 1
            kept = row if is_latest else {**row, **await self._snapshot(f"{folder}/v{index}.json")}
            manifest, config = kept["manifest"], kept["config"] or {}
            taken.versions.append(
                {
                    "name": str(version.get("version") or f"v{index}"), "comment": version.get("comment"),
                    "created_at": int(version.get("created_at") or 0), "type": kept["type"] or "generic",
                    "manifest": manifest, "config": config, "size": records.record_size(manifest, config),
                }
            )  # fmt: skip
            taken.files.append(
                [_file(info, folder, f"v{index}") for info in await self._objects(folder, index)]
            )
        if row["staging"] is not None and _intent(row["staging"]) != EDIT_VERSION:
            for info in await self._objects(folder, len(told)):
                path = info.key.removeprefix(f"{folder}/v{len(told)}/")
                await self._parts.store.copy(info.key, f"{folder}/stage/{round_id}/{path}")
                taken.staged.append(Staged(path))
        return taken

    async def _objects(self, folder: str, index: int) -> list[ObjectInfo]:
        found: list[ObjectInfo] = []
        prefix, after, rest = f"{folder}/v{index}/", "", True
        while rest:
            page = await self._parts.store.list(prefix, after=after, limit=MAX_LISTED)
            found += page.objects
            after, rest = (found[-1].key if found else ""), page.rest
        return found

    async def _snapshot(self, key: str) -> dict[str, Any]:
        """Type, manifest and config that a version had, as far as the store has kept them."""
        try:
            reading = await self._parts.store.open(key)
        except ObjectNotFound:
            return {}
        try:
            kept = json.loads(await reading.whole())
        except (ValueError, HyphaError):
            return {}
        finally:
            await reading.close()
        names = ("type", "manifest", "config")
        return {name: kept[name] for name in names if name in kept} if isinstance(kept, dict) else {}


def _file(info: ObjectInfo, folder: str, place: str) -> File:
    path = info.key.removeprefix(f"{folder}/{place}/")
    return File(path, place, info.size, info.etag, info.sha256, info.content_type, info.modified)


def _intent(staging: Any) -> str | None:
    """What the reference noted of staged changes at the end of its list."""
    for entry in reversed(staging if isinstance(staging, list) else []):
        if isinstance(entry, Mapping) and "_intent" in entry:
            return EDIT_VERSION if entry["_intent"] == EDIT_VERSION else NEW_VERSION
    return None
