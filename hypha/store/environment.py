"""Variables of workspaces; the values come and go sealed."""

from __future__ import annotations

from sqlalchemy import delete, select

from hypha.store.models import EnvironmentVariable
from hypha.store.records import WorkspaceRecord
from hypha.store.repository import Repository, upsert
from hypha.store.workspaces import ensure


class Environment(Repository):
    """One row per variable, so that concurrent writers of different keys lose nothing."""

    async def set(self, record: WorkspaceRecord, key: str, sealed: bytes) -> None:
        """Write one variable, and the workspace if it lived in memory only."""
        async with self._connections.writing() as connection:
            await ensure(connection, record)
            row = {"workspace": record.id, "key": key, "value": sealed}
            await upsert(connection, EnvironmentVariable, row, ("workspace", "key"))

    async def remove(self, workspace: str, key: str) -> bool:
        """Delete one variable; False if it wasn't there."""
        statement = delete(EnvironmentVariable).where(
            EnvironmentVariable.workspace == workspace, EnvironmentVariable.key == key
        )
        async with self._connections.writing() as connection:
            return bool((await connection.execute(statement)).rowcount)

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
