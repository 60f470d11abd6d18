"""The audit log's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from hypha.store.repository import Repository
from hypha.store.tables import AuditEntry


class Ring(IntEnum):
    """Which entries displace each other when there are too many: those of one ring only."""

    ACTS = 0
    """Sign-ins, mints, what administrators did."""
    REFUSALS = 1
    """Somebody who is known was refused."""
    STRANGERS = 2
    """Somebody without a credential was refused."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One security event, or `count` equal ones between `first` and `timestamp` (Unix seconds)."""

    timestamp: float
    action: str
    user_id: str
    workspace: str
    address: str
    detail: Mapping[str, Any] | None
    count: int = 1
    first: float = 0.0


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """What to look for; None is everything."""

    action: str | None = None
    user_id: str | None = None
    workspace: str | None = None
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Recount:
    """The entry `number` has been seen again: so many times by now, and when last."""

    number: int
    count: int
    timestamp: float


_COLUMNS = tuple(getattr(AuditEntry, name) for name in AuditRecord.__dataclass_fields__)


class AuditRecords(Repository):
    """Entries are added, counted on, read, and forgotten when they are old or too many."""

    async def write(
        self, entries: Sequence[tuple[Ring, AuditRecord]], again: Sequence[Recount] = ()
    ) -> list[int]:
        """Write new entries and new counts of known ones in one transaction; the numbers of the new ones."""
        rows = [{**asdict(entry), "ring": int(ring)} for ring, entry in entries]
        async with self._connections.writing() as connection:
            numbers: list[int] = []
            if rows:
                table: Any = AuditEntry.__table__
                made = await connection.execute(
                    table.insert().returning(AuditEntry.id, sort_by_parameter_order=True), rows
                )
                numbers = list(made.scalars())
            if again:
                counted = update(AuditEntry).where(AuditEntry.id == bindparam("number"))
                counted = counted.values(count=bindparam("seen"), timestamp=bindparam("last"))
                values = [{"number": e.number, "seen": e.count, "last": e.timestamp} for e in again]
                await connection.execute(counted, values, execution_options={"synchronize_session": None})
            return numbers

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
            statement = statement.where(AuditEntry.first <= query.until)
        statement = statement.order_by(AuditEntry.timestamp.desc(), AuditEntry.id.desc())
        async with self._connections.reading() as connection:
            rows = await connection.execute(statement.offset(offset).limit(limit))
            return [AuditRecord(*row) for row in rows]

    async def trim(self, before: float, keep: Mapping[Ring, int]) -> None:
        """Forget what is older than a moment, and of each ring the oldest above a number."""
        newest_first = AuditEntry.timestamp.desc(), AuditEntry.id.desc()
        async with self._connections.writing() as connection:
            await connection.execute(delete(AuditEntry).where(AuditEntry.timestamp < before))
            for ring, most in keep.items():
                is_of_ring = AuditEntry.ring == int(ring)
                kept = select(AuditEntry.id).where(is_of_ring).order_by(*newest_first).limit(most)
                await connection.execute(delete(AuditEntry).where(is_of_ring, AuditEntry.id.not_in(kept)))
