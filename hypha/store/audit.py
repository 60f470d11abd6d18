"""The audit log's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, func, select

from hypha.store.models import AuditEntry
from hypha.store.repository import Repository


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One security event; `count` says how often it came within a moment."""

    timestamp: float
    action: str
    user_id: str
    workspace: str
    address: str
    detail: Mapping[str, Any] | None
    count: int = 1


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """What to look for; None is everything."""

    action: str | None = None
    user_id: str | None = None
    workspace: str | None = None
    since: float | None = None
    until: float | None = None


_COLUMNS = tuple(getattr(AuditEntry, name) for name in AuditRecord.__dataclass_fields__)


class AuditRecords(Repository):
    """Entries are added, read, and forgotten when they are old or too many."""

    async def add(self, entries: Sequence[AuditRecord]) -> None:
        """Write several entries in one transaction."""
        rows = [asdict(entry) for entry in entries]
        async with self._connections.writing() as connection:
            await connection.execute(AuditEntry.__table__.insert(), rows)  # type: ignore[attr-defined]

    async def find(self, query: AuditQuery, offset: int, limit: int) -> list[AuditRecord]:
        """Entries that match, newest first."""
        statement = select(*_COLUMNS)
        for column, value in (
            (AuditEntry.action, query.action),
            (AuditEntry.user_id, query.user_id),
            (AuditEntry.workspace, query.workspace),
        ):
            if value is not None:
                statement = statement.where(column == value)
        if query.since is not None:
            statement = statement.where(AuditEntry.timestamp >= query.since)
        if query.until is not None:
            statement = statement.where(AuditEntry.timestamp <= query.until)
        statement = statement.order_by(AuditEntry.timestamp.desc(), AuditEntry.id.desc())
        async with self._connections.reading() as connection:
            rows = await connection.execute(statement.offset(offset).limit(limit))
            return [AuditRecord(*row) for row in rows]

    async def trim(self, before: float, keep: int) -> None:
        """Forget what is older than a moment, and the oldest above a number."""
        async with self._connections.writing() as connection:
            await connection.execute(delete(AuditEntry).where(AuditEntry.timestamp < before))
            newest = (await connection.execute(select(func.max(AuditEntry.id)))).scalar() or 0
            await connection.execute(delete(AuditEntry).where(AuditEntry.id <= newest - keep))
