"""The event log of workspaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select

from hypha.store.models import Event
from hypha.store.records import LoggedEvent, WorkspaceRecord
from hypha.store.repository import Repository
from hypha.store.workspaces import ensure


class Events(Repository):
    """Entries are only ever added; they end with their workspace."""

    async def add(
        self, record: WorkspaceRecord, user_id: str, event_type: str, data: Any, now: float
    ) -> None:
        """Write one entry, and the workspace if it lived in memory only."""
        row = {
            "workspace": record.id,
            "user_id": user_id,
            "event_type": event_type,
            "timestamp": now,
            "data": data,
        }
        async with self._connections.writing() as connection:
            await ensure(connection, record)
            await connection.execute(Event.__table__.insert(), row)  # type: ignore[attr-defined]

    async def find(
        self,
        workspace: str,
        user_id: str,
        event_type: str | None,
        start: float | None,
        end: float | None,
        limit: int,
    ) -> list[LoggedEvent]:
        """The newest `limit` entries of one user in one workspace, oldest of them first."""
        statement = (
            select(Event.id, Event.event_type, Event.workspace, Event.user_id, Event.timestamp, Event.data)
            .where(*_where(workspace, user_id, event_type, start, end))
            .order_by(Event.timestamp.desc(), Event.id.desc())
            .limit(limit)
        )
        async with self._connections.reading() as connection:
            rows = (await connection.execute(statement)).all()
        return [LoggedEvent(*row) for row in reversed(rows)]

    async def count(
        self, workspace: str, user_id: str, event_type: str | None, start: float | None, end: float | None
    ) -> list[tuple[str, int]]:
        """How many entries of each type one user has in one workspace."""
        statement = (
            select(Event.event_type, func.count())
            .where(*_where(workspace, user_id, event_type, start, end))
            .group_by(Event.event_type)
            .order_by(Event.event_type)
        )
        async with self._connections.reading() as connection:
            return [(name, int(count)) for name, count in await connection.execute(statement)]


def _where(
    workspace: str, user_id: str, event_type: str | None, start: float | None, end: float | None
) -> Sequence[ColumnElement[bool]]:
    wanted = [Event.workspace == workspace, Event.user_id == user_id]
    if event_type is not None:
        wanted.append(Event.event_type == event_type)
    if start is not None:
        wanted.append(Event.timestamp >= start)
    if end is not None:
        wanted.append(Event.timestamp <= end)
    return wanted
