"""Variables of workspaces; the values come and go sealed."""

from __future__ import annotations

from sqlalchemy import ColumnElement, delete, select

from hypha.store.records import WorkspaceRecord
from hypha.store.repository import Connections, Repository, upsert
from hypha.store.tables import EnvironmentVariable
from hypha.store.usage import Allowance, Kind, Usage
from hypha.store.workspaces import ensure


class Environment(Repository):
    """One row per variable, so that concurrent writers of different keys lose nothing."""

    def __init__(self, connections: Connections, usage: Usage) -> None:
        super().__init__(connections)
        self._usage = usage

    async def set(
        self, record: WorkspaceRecord, key: str, sealed: bytes, allowance: Allowance | None = None
    ) -> None:
        """Write one variable, and the workspace if it lived in memory only.

        Raises:
            QuotaExceeded: that would be more than is allowed; nothing is changed.
        """
        size = len(sealed)
        async with self._connections.writing() as connection:
            await ensure(connection, record, self._connections.replica)
            await self._usage.hold(connection, record, Kind.VARIABLES)
            before = await connection.execute(select(EnvironmentVariable.size).where(*_at(record.id, key)))
            known = before.scalar_one_or_none()
            added = (1, size) if known is None else (0, size - known)
            await self._usage.add(connection, record, Kind.VARIABLES, *added, allowance)
            row = {"workspace": record.id, "key": key, "value": sealed, "size": size}
            await upsert(connection, EnvironmentVariable, row, ("workspace", "key"))

    async def remove(self, workspace: str, key: str) -> bool:
        """Delete one variable; False if it wasn't there."""
        statement = delete(EnvironmentVariable).where(*_at(workspace, key))
        async with self._connections.writing() as connection:
            await self._usage.remove(connection, workspace, Kind.VARIABLES, 0, 0)
            gone = await connection.execute(statement.returning(EnvironmentVariable.size))
            size = gone.scalar_one_or_none()
            if size is not None:
                await self._usage.remove(connection, workspace, Kind.VARIABLES, 1, size)
            return size is not None

    async def get(self, workspace: str, key: str) -> bytes | None:
        """One sealed value, or None."""
        statement = select(EnvironmentVariable.value).where(
            EnvironmentVariable.workspace == workspace, EnvironmentVariable.key == key
        )
        async with self._connections.reading() as connection:
            return (await connection.execute(statement)).scalar_one_or_none()

    async def all(self, workspace: str) -> dict[str, bytes]:
        """All sealed values of a workspace, by key."""
        statement = (
            select(EnvironmentVariable.key, EnvironmentVariable.value)
            .where(EnvironmentVariable.workspace == workspace)
            .order_by(EnvironmentVariable.key)
        )
        async with self._connections.reading() as connection:
            return {key: value for key, value in await connection.execute(statement)}


def _at(workspace: str, key: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return EnvironmentVariable.workspace == workspace, EnvironmentVariable.key == key
