"""The event log of workspaces."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select

from hypha.store.records import LoggedEvent, WorkspaceRecord
from hypha.store.repository import Connections, Repository, encoded_size
from hypha.store.tables import Event
from hypha.store.usage import Allowance, Kind, Usage
from hypha.store.workspaces import ensure

MAX_FOUND_BYTES = 16 * 1024 * 1024
MAX_TYPES_COUNTED = 1000


class Events(Repository):
    """Entries are only ever added; they end with their workspace, or when they are old."""

    def __init__(self, connections: Connections, usage: Usage) -> None:
        super().__init__(connections)
        self._usage = usage

    async def add(
        self,
        record: WorkspaceRecord,
        user_id: str,
        event_type: str,
        data: Any,
        now: float,
        allowance: Allowance | None = None,
    ) -> None:
        """Write one entry, and the workspace if it lived in memory only.

        Raises:
            QuotaExceeded: that would be more than is allowed; nothing is changed.
        """
        size = len(event_type) + len(user_id) + encoded_size(data)
        row = {
            "workspace": record.id,
            "user_id": user_id,
            "event_type": event_type,
            "timestamp": now,
            "data": data,
            "size": size,
        }
        async with self._connections.writing() as connection:
            await ensure(connection, record, self._connections.replica)
            await self._usage.add(connection, record, Kind.EVENTS, 1, size, allowance)
            await connection.execute(Event.__table__.insert(), row)  # type: ignore[attr-defined]

    async def find(
        self,
        workspace: str,
        user_id: str,
        event_type: str | None,
        start: float | None,
        end: float | None,
        limit: int,
        most_bytes: int = MAX_FOUND_BYTES,
    ) -> list[LoggedEvent]:
        """The newest entries of one user in one workspace, oldest of them first.

        At most `limit`, and as many as have `most_bytes` together, but one at least.
        """
        newest = (
            select(Event.id, Event.size)
            .where(*_where(workspace, user_id, event_type, start, end))
            .order_by(Event.timestamp.desc(), Event.id.desc())
            .limit(limit)
        )
        columns = Event.id, Event.event_type, Event.workspace, Event.user_id, Event.timestamp, Event.data
        async with self._connections.reading() as connection:
            sizes = (await connection.execute(newest)).all()
            ends = accumulate(size for _, size in sizes)
            ids = [row.id for row, end in zip(sizes, ends, strict=True) if end <= most_bytes]
            ids = ids or [row.id for row in sizes[:1]]
            statement = select(*columns).where(Event.id.in_(ids)).order_by(Event.timestamp, Event.id)
            return [LoggedEvent(*row) for row in await connection.execute(statement)]

    async def forget(self, before: float, limit: int = 1000) -> int:
        """Delete up to `limit` entries that are older than a moment; how many there were."""
        oldest = select(Event.id).where(Event.timestamp < before).order_by(Event.id).limit(limit)
        async with self._connections.writing() as connection:
            gone = await connection.execute(
                delete(Event).where(Event.id.in_(oldest)).returning(Event.workspace, Event.size)
            )
            freed: dict[str, list[int]] = {}
            for workspace, size in gone:
                freed.setdefault(workspace, []).append(size)
            for workspace, sizes in sorted(freed.items()):
                await self._usage.remove(connection, workspace, Kind.EVENTS, len(sizes), sum(sizes))
        return sum(len(sizes) for sizes in freed.values())

    async def count(
        self, workspace: str, user_id: str, event_type: str | None, start: float | None, end: float | None
    ) -> list[tuple[str, int]]:
        """How many entries of each type one user has in one workspace; of many types the most frequent."""
        statement = (
            select(Event.event_type, func.count())
            .where(*_where(workspace, user_id, event_type, start, end))
            .group_by(Event.event_type)
            .order_by(func.count().desc(), Event.event_type)
            .limit(MAX_TYPES_COUNTED)
        )
        async with self._connections.reading() as connection:
            return sorted((name, int(count)) for name, count in await connection.execute(statement))


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
