"""How much each workspace keeps of each kind, counted in the transaction that adds or removes it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.errors import QuotaExceeded
from hypha.store.prepared import Prepared
from hypha.store.records import WorkspaceRecord
from hypha.store.repository import Connections, Repository, insert, insert_for
from hypha.store.tables import StoredUse, Workspace

MEASURED_EVERY_S = 10.0
"""The sum over all workspaces is read anew so often; in between what is added is counted."""
STRANGER_PREFIX = "anonymouz-"
FILES_SUFFIX = "_files"
"""Ends the names of kinds whose bytes lie in the object store: they have bounds of their own, and are no part
of what the database keeps for a person or in all."""

_OF = Prepared(
    select(StoredUse.kind, StoredUse.count, StoredUse.size).where(StoredUse.workspace == bindparam("of"))
)


class Kind(StrEnum):
    """What of the core is counted, by the names of the tables; features name theirs in the same way."""

    EVENTS = "event_logs"
    VARIABLES = "workspace_environment"
    TYPES = "service_types"
    BOOKMARKS = "bookmarks"


@dataclass(frozen=True, slots=True)
class Quota:
    """How many entries of one kind a workspace may keep, and their bytes.

    `what` they are and the `advice` for whoever has too many are for people to read.
    """

    count: int
    size_bytes: int
    what: str
    advice: str


@dataclass(frozen=True, slots=True)
class Allowance:
    """What bounds one addition: the workspace's quota, its person's bytes, and those of all.

    `of_all_bytes` is of all workspaces of anonymous users for one of them, else of all workspaces.
    """

    quota: Quota
    of_person_bytes: int
    of_all_bytes: int


class Usage(Repository):
    """Reads and changes the counts."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections)
        self._measured_at = {True: -MEASURED_EVERY_S, False: -MEASURED_EVERY_S}
        self._measured = {True: 0, False: 0}

    async def of(self, workspace: str) -> dict[str, tuple[int, int]]:
        """Number and bytes of what a workspace keeps, by kind."""
        async with self._connections.reading() as connection:
            rows = await _OF.run(connection, {"of": workspace})
            return {kind: (int(count), int(size)) for kind, count, size in rows}

    @staticmethod
    async def hold(connection: AsyncConnection, record: WorkspaceRecord, kind: str) -> None:
        """Let nobody else change a count until the transaction ends; taken before locks on entries."""
        statement = insert(connection, StoredUse).values(workspace=record.id, kind=kind, count=0, size=0)
        statement = statement.on_conflict_do_update(
            index_elements=["workspace", "kind"], set_={"count": StoredUse.count}
        )
        await connection.execute(statement)

    async def add(
        self,
        connection: AsyncConnection,
        record: WorkspaceRecord,
        kind: str,
        count: int,
        size: int,
        allowance: Allowance | None,
    ) -> None:
        """Count what is added in a transaction, which ends with the error if it is too much.

        Raises:
            QuotaExceeded: the workspace, its person or the server would keep more than it may.
        """
        added = {"workspace": record.id, "kind": kind, "count": count, "size": size}
        total_count, total_size = (await _ADDING.run(connection, added)).one()
        if allowance is not None and (count > 0 or size > 0):
            _check_quota(record, allowance.quota, int(total_count), int(total_size))
            if kind.endswith(FILES_SUFFIX):
                return
            await self._check_person(connection, record, allowance)
            await self._check_all(connection, record, size, allowance)

    async def check(
        self, record: WorkspaceRecord, kind: str, count: int, size: int, allowance: Allowance | None
    ) -> None:
        """Refuse what `add` would refuse for the workspace's quota as things are, and count nothing.

        Raises:
            QuotaExceeded.
        """
        if allowance is not None and (count > 0 or size > 0):
            known_count, known_size = (await self.of(record.id)).get(kind, (0, 0))
            _check_quota(record, allowance.quota, known_count + count, known_size + size)

    @staticmethod
    async def remove(connection: AsyncConnection, workspace: str, kind: str, count: int, size: int) -> None:
        """Count what is removed in a transaction; with zeros it holds the count, as `hold`."""
        where = StoredUse.workspace == workspace, StoredUse.kind == kind
        values = {"count": StoredUse.count - count, "size": StoredUse.size - size}
        await connection.execute(update(StoredUse).where(*where).values(values))

    @staticmethod
    async def _check_person(
        connection: AsyncConnection, record: WorkspaceRecord, allowance: Allowance
    ) -> None:
        if record.created_by is None or not allowance.of_person_bytes:
            return
        theirs = await _OF_PERSON.run(connection, {"person": record.created_by})
        if int(theirs.scalar_one()) > allowance.of_person_bytes:
            raise QuotaExceeded(
                f"The workspaces of {record.created_by} keep more than {allowance.of_person_bytes} bytes: "
                "delete some of what they keep, or a workspace."
            )

    async def _check_all(
        self, connection: AsyncConnection, record: WorkspaceRecord, size: int, allowance: Allowance
    ) -> None:
        if not allowance.of_all_bytes:
            return
        is_strangers = is_of_stranger(record)
        now = time.monotonic()
        if now - self._measured_at[is_strangers] > MEASURED_EVERY_S:
            statement = select(func.coalesce(func.sum(StoredUse.size), 0)).where(_IS_RECORD)
            if is_strangers:
                statement = statement.where(
                    StoredUse.workspace == Workspace.id, Workspace.created_by.startswith(STRANGER_PREFIX)
                )
            self._measured[is_strangers] = int((await connection.execute(statement)).scalar_one())
            self._measured_at[is_strangers] = now
        else:
            self._measured[is_strangers] += max(0, size)
        if self._measured[is_strangers] > allowance.of_all_bytes:
            whose = "anonymous users" if is_strangers else "all workspaces"
            raise QuotaExceeded(
                f"This server keeps no more for {whose}: {allowance.of_all_bytes} bytes are used. "
                + ("Sign in." if is_strangers else "Ask its operator for more.")
            )


def _adding(database: str) -> Any:
    """The statement that adds to a count and tells the sum."""
    statement = insert_for(database, StoredUse)
    changes = {
        "count": StoredUse.count + statement.excluded.count,
        "size": StoredUse.size + statement.excluded.size,
    }
    statement = statement.on_conflict_do_update(index_elements=["workspace", "kind"], set_=changes)
    return statement.returning(StoredUse.count, StoredUse.size)


_ADDING = Prepared(_adding)
_IS_RECORD = StoredUse.kind.not_like("%" + FILES_SUFFIX.replace("_", "\\_"), escape="\\")
_OF_PERSON = Prepared(
    select(func.coalesce(func.sum(StoredUse.size), 0)).where(
        StoredUse.workspace == Workspace.id, Workspace.created_by == bindparam("person"), _IS_RECORD
    )
)


def is_of_stranger(record: WorkspaceRecord) -> bool:
    """Whether an anonymous user made a workspace, which ends with that user."""
    return (record.created_by or "").startswith(STRANGER_PREFIX)


def _check_quota(record: WorkspaceRecord, quota: Quota, count: int, size: int) -> None:
    if count > quota.count or size > quota.size_bytes:
        raise QuotaExceeded(
            f"Workspace {record.id} keeps too many {quota.what}: at most {quota.count} of "
            f"{quota.size_bytes} bytes together. {quota.advice}"
        )
