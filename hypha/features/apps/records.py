"""What is kept of apps beside their artifacts: grants, workers that are off, sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select

from hypha.features.apps.tables import AppGrant, AppSession, DisabledWorker
from hypha.store.records import WorkspaceRecord
from hypha.store.repository import Repository, insert_if_absent, upsert
from hypha.store.workspaces import ensure

MAX_GRANTS_LISTED = 1000


@dataclass(frozen=True, slots=True)
class Grant:
    """Who lets an app be started unasked, as `identity` writes it, and of which state of the app."""

    workspace: str
    app_id: str
    mark: str
    is_daemon: bool
    starter: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LeftSession:
    """A session that a server has begun, and its token."""

    id: str
    workspace: str
    app_id: str
    worker_id: str
    token_mark: str
    token_until: float
    created_at: float = 0.0


class AppRecords(Repository):
    """The tables of apps."""

    # -- grants

    async def grant(self, record: WorkspaceRecord, grant: Grant, now: float) -> None:
        """Keep a grant, in place of the one before."""
        row = {
            "workspace": grant.workspace, "app_id": grant.app_id, "mark": grant.mark,
            "is_daemon": grant.is_daemon, "starter": dict(grant.starter), "created_at": now,
        }  # fmt: skip
        async with self._connections.writing() as connection:
            await ensure(connection, record, self._connections.replica)
            await upsert(connection, AppGrant, row, ["workspace", "app_id"])

    async def revoke(self, workspace: str, app_id: str) -> None:
        """Forget a grant."""
        gone = delete(AppGrant).where(AppGrant.workspace == workspace, AppGrant.app_id == app_id)
        async with self._connections.writing() as connection:
            await connection.execute(gone)

    async def granted(self, workspace: str, app_id: str) -> Grant | None:
        """The grant of an app."""
        query = select(AppGrant).where(AppGrant.workspace == workspace, AppGrant.app_id == app_id)
        async with self._connections.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _grant(row)

    async def granting(self) -> set[str]:
        """The workspaces that have grants."""
        async with self._connections.reading() as connection:
            return set((await connection.execute(select(AppGrant.workspace).distinct())).scalars())

    async def grants(self, workspace: str | None = None) -> list[Grant]:
        """All grants, or those of a workspace."""
        query = select(AppGrant)
        if workspace is not None:
            query = query.where(AppGrant.workspace == workspace).limit(MAX_GRANTS_LISTED)
        async with self._connections.reading() as connection:
            return [_grant(row) for row in await connection.execute(query)]

    async def daemons(self) -> list[Grant]:
        """The grants of all daemons."""
        query = select(AppGrant).where(AppGrant.is_daemon.is_(True)).order_by(AppGrant.created_at)
        async with self._connections.reading() as connection:
            return [_grant(row) for row in await connection.execute(query)]

    # -- workers that are off

    async def disable(self, record: WorkspaceRecord, worker_id: str) -> None:
        """Note that a worker is not to be chosen."""
        async with self._connections.writing() as connection:
            await ensure(connection, record, self._connections.replica)
            values = {"workspace": record.id, "worker_id": worker_id}
            await insert_if_absent(connection, DisabledWorker, values)

    async def enable(self, workspace: str, worker_id: str) -> None:
        """Forget that it isn't."""
        gone = delete(DisabledWorker).where(
            DisabledWorker.workspace == workspace, DisabledWorker.worker_id == worker_id
        )
        async with self._connections.writing() as connection:
            await connection.execute(gone)

    async def disabled(self) -> set[str]:
        """All workers that are off."""
        async with self._connections.reading() as connection:
            return set((await connection.execute(select(DisabledWorker.worker_id))).scalars())

    # -- sessions

    async def begin(self, record: WorkspaceRecord, session: LeftSession) -> None:
        """Write a session down, before its program is started."""
        row = {
            "id": session.id, "workspace": session.workspace, "app_id": session.app_id,
            "worker_id": session.worker_id, "token_mark": session.token_mark,
            "token_until": session.token_until, "created_at": session.created_at,
        }  # fmt: skip
        async with self._connections.writing() as connection:
            await ensure(connection, record, self._connections.replica)
            await upsert(connection, AppSession, row, ["id"])

    async def end(self, session_id: str) -> None:
        """Forget a session."""
        async with self._connections.writing() as connection:
            await connection.execute(delete(AppSession).where(AppSession.id == session_id))

    async def left(self) -> list[LeftSession]:
        """The sessions that are written down."""
        async with self._connections.reading() as connection:
            rows = (await connection.execute(select(AppSession))).all()
        return [
            LeftSession(
                row.id, row.workspace, row.app_id, row.worker_id,
                row.token_mark, row.token_until, row.created_at,
            )
            for row in rows
        ]  # fmt: skip


def _grant(row: Any) -> Grant:
    return Grant(row.workspace, row.app_id, row.mark, row.is_daemon, row.starter)
