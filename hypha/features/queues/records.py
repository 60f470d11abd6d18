"""Tasks in queues: pushed, taken or leased in the order of their arrival."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.features.queues.tables import Task
from hypha.store.records import WorkspaceRecord
from hypha.store.repository import Connections, Repository
from hypha.store.usage import Allowance, Usage
from hypha.store.workspaces import ensure

KIND = Task.__tablename__
"""The kind of what a workspace keeps here, for its quota."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A task that was handed out; `attempt` counts from 1."""

    data: bytes
    attempt: int


class Queues(Repository):
    """Queues by workspace and name; times are Unix seconds."""

    def __init__(self, connections: Connections, usage: Usage) -> None:
        super().__init__(connections)
        self._usage = usage

    async def push(
        self,
        record: WorkspaceRecord,
        queue: str,
        data: bytes,
        now: float,
        allowance: Allowance | None = None,
    ) -> None:
        """Append a task; it is on disk when this returns.

        Raises:
            QuotaExceeded: that would be more than is allowed; nothing is changed.
        """
        row = {
            "workspace": record.id, "queue": queue, "data": data, "size": len(data), "created_at": now,
            "attempts": 0,
        }  # fmt: skip
        async with self._connections.writing() as connection:
            await ensure(connection, record, self._connections.replica)
            await self._usage.add(connection, record, KIND, 1, len(data), allowance)
            await connection.execute(insert(Task), row)

    async def take(
        self, workspace: str, queue: str, now: float, receipt: str | None = None, until: float = 0.0
    ) -> Taken | None:
        """The oldest free task: removed, or with a receipt leased `until` then; None without one."""
        async with self._connections.writing() as connection:
            found = (
                await connection.execute(
                    select(Task.id, Task.data, Task.attempts)
                    .where(_free(workspace, queue, now))
                    .order_by(Task.id)
                    .limit(1)
                    .with_for_update(skip_locked=True)
                )
            ).one_or_none()
            if found is None:
                return None
            attempt = found.attempts + 1
            if receipt is None:
                await connection.execute(delete(Task).where(Task.id == found.id))
                await self._usage.remove(connection, workspace, KIND, 1, len(found.data))
            else:
                lease = {"receipt": receipt, "leased_until": until, "attempts": attempt}
                await connection.execute(update(Task).where(Task.id == found.id).values(lease))
            return Taken(found.data, attempt)

    async def finish(self, workspace: str, queue: str, receipt: str) -> bool:
        """Remove a leased task; False if the receipt is not valid any more."""
        async with self._connections.writing() as connection:
            gone = await connection.execute(
                delete(Task).where(_leased(workspace, queue, receipt)).returning(Task.size)
            )
            size = gone.scalar_one_or_none()
            if size is not None:
                await self._usage.remove(connection, workspace, KIND, 1, size)
            return size is not None

    async def extend(self, workspace: str, queue: str, receipt: str, until: float) -> bool:
        """Set the end of a lease, `until` 0 gives the task back; False if the receipt is not valid."""
        values = {"leased_until": until} if until else {"leased_until": None, "receipt": None}
        async with self._connections.writing() as connection:
            result = await connection.execute(
                update(Task).where(_leased(workspace, queue, receipt)).values(values)
            )
            return bool(result.rowcount)

    async def peek(self, workspace: str, queue: str, now: float, limit: int, most_bytes: int) -> list[bytes]:
        """The next free tasks, oldest first: as many as have `most_bytes` together, but one at least."""
        next_ones = (
            select(Task.id, Task.size).where(_free(workspace, queue, now)).order_by(Task.id).limit(limit)
        )
        async with self._connections.reading() as connection:
            sizes = (await connection.execute(next_ones)).all()
            ends = accumulate(size for _, size in sizes)
            ids = [row.id for row, end in zip(sizes, ends, strict=True) if end <= most_bytes]
            ids = ids or [row.id for row in sizes[:1]]
            found = await connection.execute(select(Task.data).where(Task.id.in_(ids)).order_by(Task.id))
            return list(found.scalars())

    async def length(self, workspace: str, queue: str, now: float) -> int:
        """Number of free tasks."""
        async with self._connections.reading() as connection:
            return await _count(connection, _free(workspace, queue, now))

    async def next_expiry(self, workspace: str, queue: str) -> float | None:
        """When the next lease of a queue ends."""
        statement = select(func.min(Task.leased_until)).where(
            Task.workspace == workspace, Task.queue == queue
        )
        async with self._connections.reading() as connection:
            return (await connection.execute(statement)).scalar()


async def _count(connection: AsyncConnection, where: ColumnElement[bool]) -> int:
    return int((await connection.execute(select(func.count()).select_from(Task).where(where))).scalar_one())


def _free(workspace: str, queue: str, now: float) -> ColumnElement[bool]:
    is_free = or_(Task.leased_until.is_(None), Task.leased_until <= now)
    return and_(Task.workspace == workspace, Task.queue == queue, is_free)


def _leased(workspace: str, queue: str, receipt: str) -> ColumnElement[bool]:
    return and_(Task.workspace == workspace, Task.queue == queue, Task.receipt == receipt)
