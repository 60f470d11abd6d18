"""Workspaces in the database: fields are written one by one, never as a whole record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, false, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.addresses import fold_email
from hypha.errors import AlreadyExists
from hypha.store.issued_tokens import end_tokens_for
from hypha.store.prepared import Prepared
from hypha.store.records import WorkspaceRecord
from hypha.store.replicas import owning
from hypha.store.repository import Repository, insert_for
from hypha.store.tables import Subscription, Workspace, WorkspaceOwner

MATCHABLE = ("id", "name", "description", "persistent", "read_only")
_FIELDS = frozenset(("name", "description", "persistent", "read_only", "icon", "covers", "docs", "config"))
_COLUMNS = [column for column in Workspace.__table__.columns if column.name != "replica"]
_ENSURED = Prepared(lambda database: insert_for(database, Workspace).on_conflict_do_nothing())


async def ensure(connection: AsyncConnection, record: WorkspaceRecord, replica: int | None) -> None:
    """Write a workspace that so far lived in memory, if it isn't there; in the caller's transaction.

    Args:
        replica: the one that answers for it, `Connections.replica`.

    Raises:
        LeaseLost: the lease of that replica has ended.
    """
    async with owning():
        added = await _ENSURED.run(connection, _values(record, replica))
    if added.rowcount == 1:
        await write_owners(connection, record)


async def delete_workspaces(connection: AsyncConnection, workspaces: Sequence[str]) -> None:
    """Delete workspaces with everything set in them; in the caller's transaction."""
    await connection.execute(delete(Subscription).where(Subscription.workspace.in_(workspaces)))
    await connection.execute(delete(Workspace).where(Workspace.id.in_(workspaces)))


def _values(record: WorkspaceRecord, replica: int | None) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "description": record.description,
        "persistent": record.persistent,
        "read_only": record.read_only,
        "icon": record.icon,
        "covers": record.covers,
        "docs": record.docs,
        "config": dict(record.config),
        "created_by": record.created_by,
        "created_at": record.created_at,
        "replica": replica,
    }


async def write_owners(connection: AsyncConnection, record: WorkspaceRecord) -> None:
    """Write the owners of a workspace that has none; in the caller's transaction."""
    rows = [
        {"workspace": record.id, "position": position, "owner": owner, "folded": fold_email(owner)}
        for position, owner in enumerate(record.owners)
    ]
    if rows:
        await connection.execute(WorkspaceOwner.__table__.insert(), rows)  # type: ignore[attr-defined]


class Workspaces(Repository):
    """The workspaces that last."""

    async def get(self, workspace: str) -> WorkspaceRecord | None:
        """The record of a workspace, or None."""
        async with self._connections.reading() as connection:
            found = await _records(connection, Workspace.id == workspace)
        return found[0] if found else None

    async def ensure(self, record: WorkspaceRecord) -> None:
        """Write a workspace unless it is there."""
        async with self._connections.writing() as connection:
            await ensure(connection, record, self._connections.replica)

    async def create(self, record: WorkspaceRecord, *, quota: int | None = None) -> int | None:
        """Write a new workspace; return the count that its creator has already if over `quota`.

        Counting and writing are one transaction, so that a race cannot pass the quota on SQLite.

        Raises:
            AlreadyExists: the id is taken. LeaseLost: the lease of this replica has ended.
        """
        try:
            async with self._connections.writing() as connection:
                if quota is not None and record.created_by is not None:
                    owned = await _count_created(connection, record.created_by)
                    if owned >= quota:
                        return owned
                row = _values(record, self._connections.replica)
                async with owning():
                    await connection.execute(Workspace.__table__.insert(), row)  # type: ignore[attr-defined]
                await write_owners(connection, record)
        except IntegrityError:
            raise AlreadyExists(f"Workspace already exists: {record.id}") from None
        return None

    async def update(
        self, workspace: str, fields: Mapping[str, Any], owners: Sequence[str] | None = None
    ) -> bool:
        """Set some fields of a workspace; False if there is none of that id.

        Of one that may not last from now on, this replica is the one that answers.
        """
        unknown = set(fields) - _FIELDS
        if unknown:
            raise ValueError(f"unknown fields: {sorted(unknown)}")
        owner = {"replica": self._connections.replica} if "persistent" in fields else {}
        async with self._connections.writing() as connection:
            if fields:
                statement = update(Workspace).where(Workspace.id == workspace).values(**fields, **owner)
                async with owning():
                    changed = await connection.execute(statement)
                if changed.rowcount == 0:
                    return False
            if owners is not None:
                await connection.execute(delete(WorkspaceOwner).where(WorkspaceOwner.workspace == workspace))
                await write_owners(connection, WorkspaceRecord(workspace, owners=tuple(owners)))
        return True

    async def end(self, workspace: str, *, with_tokens: bool) -> dict[str, float] | None:
        """Delete a workspace for which this replica answers, as `delete` or `delete_with_tokens` do.

        None if another replica answers for it: nothing is changed. It need not be stored.
        """
        owner = select(Workspace.replica).where(Workspace.id == workspace).with_for_update()
        async with self._connections.writing() as connection:
            for replica in (await connection.execute(owner)).scalars():
                if replica != self._connections.replica:
                    return None
            await delete_workspaces(connection, [workspace])
            return await end_tokens_for(connection, workspace) if with_tokens else {}

    async def delete(self, workspaces: Iterable[str]) -> None:
        """Delete workspaces with everything set in them, whichever replica answers for them."""
        ids = list(workspaces)
        if not ids:
            return
        async with self._connections.writing() as connection:
            await delete_workspaces(connection, ids)

    async def delete_with_tokens(self, workspace: str) -> dict[str, float]:
        """Delete a workspace and revoke the tokens for it, or they would be good for one of the same id.

        Returns the fingerprints of the tokens that ended, as `end_tokens_for`.
        """
        async with self._connections.writing() as connection:
            await delete_workspaces(connection, [workspace])
            return await end_tokens_for(connection, workspace)

    async def adopt(self) -> list[str]:
        """Answer from now on for the temporary workspaces of replicas that are gone; their ids."""
        left = Workspace.persistent.is_(False), Workspace.replica.is_(None)
        statement = update(Workspace).where(*left).values(replica=self._connections.replica)
        async with self._connections.writing() as connection, owning():
            return list((await connection.execute(statement.returning(Workspace.id))).scalars())

    async def temporary(self) -> list[str]:
        """Ids of the workspaces that are stored but not persistent."""
        async with self._connections.reading() as connection:
            rows = await connection.execute(select(Workspace.id).where(Workspace.persistent.is_(False)))
            return list(rows.scalars())

    async def list(
        self,
        *,
        owners: Sequence[str] | None,
        ids: Sequence[str] = (),
        match: Mapping[str, Any] | None = None,
        offset: int = 0,
        limit: int = 256,
    ) -> list[WorkspaceRecord]:
        """Workspaces in the order of their ids.

        Args:
            owners: only those of one of these owners (user id, e-mail), or named in `ids`;
                None: all.
            match: values that fields must have; `owners` names one owner that must be among them.
        """
        wanted: list[ColumnElement[bool]] = []
        if owners is not None:
            folded = [fold_email(owner) for owner in owners if "@" in owner]
            owned = select(WorkspaceOwner.workspace).where(
                or_(
                    WorkspaceOwner.owner.in_(owners), WorkspaceOwner.folded.in_(folded) if folded else false()
                )
            )
            wanted.append(or_(Workspace.id.in_(owned), Workspace.id.in_(list(ids))))
        for name, value in (match or {}).items():
            wanted.append(_matches(name, value))
        async with self._connections.reading() as connection:
            return await _records(connection, and_(True, *wanted), offset=offset, limit=limit)


def _matches(name: str, value: Any) -> ColumnElement[bool]:
    if name == "owners":
        names = value if isinstance(value, list | tuple) else [value]
        having = [
            select(WorkspaceOwner.workspace).where(WorkspaceOwner.owner == str(owner)) for owner in names
        ]
        return and_(True, *(Workspace.id.in_(one) for one in having))
    column: ColumnElement[Any] = getattr(Workspace, name)
    if name in ("persistent", "read_only"):
        return column.is_(bool(value))
    return column == str(value)


async def _records(
    connection: AsyncConnection, where: ColumnElement[bool], *, offset: int = 0, limit: int = 1
) -> list[WorkspaceRecord]:
    statement = select(*_COLUMNS).where(where).order_by(Workspace.id).offset(offset).limit(limit)
    rows = (await connection.execute(statement)).mappings().all()
    if not rows:
        return []
    owners: dict[str, list[str]] = {row["id"]: [] for row in rows}
    query = (
        select(WorkspaceOwner.workspace, WorkspaceOwner.owner)
        .where(WorkspaceOwner.workspace.in_(owners))
        .order_by(WorkspaceOwner.workspace, WorkspaceOwner.position)
    )
    for workspace, owner in await connection.execute(query):
        owners[workspace].append(owner)
    return [
        WorkspaceRecord(**{**row, "config": row["config"] or {}, "owners": tuple(owners[row["id"]])})
        for row in rows
    ]


async def _count_created(connection: AsyncConnection, creator: str) -> int:
    statement = (
        select(func.count())
        .select_from(Workspace)
        .where(Workspace.created_by == creator, ~Workspace.id.startswith("ws-user-", autoescape=True))
    )
    return int((await connection.execute(statement)).scalar_one())
