"""Service types of workspaces."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import select

from hypha.store.models import ServiceTypeRow
from hypha.store.records import ServiceType, WorkspaceRecord
from hypha.store.repository import Repository, insert_if_absent, upsert
from hypha.store.workspaces import ensure

_COLUMNS = (
    ServiceTypeRow.id,
    ServiceTypeRow.name,
    ServiceTypeRow.definition,
    ServiceTypeRow.description,
    ServiceTypeRow.config,
    ServiceTypeRow.docs,
)


class ServiceTypes(Repository):
    """One row per type."""

    async def add(
        self, record: WorkspaceRecord, service_type: ServiceType, now: float, *, overwrite: bool = False
    ) -> bool:
        """Write a type, and the workspace if it lived in memory only; False if the id is taken."""
        row = {**asdict(service_type), "workspace": record.id, "created_at": now}
        async with self._connections.writing() as connection:
            await ensure(connection, record)
            if overwrite:
                await upsert(connection, ServiceTypeRow, row, ("workspace", "id"))
                return True
            return await insert_if_absent(connection, ServiceTypeRow, row)

    async def get(self, workspace: str, type_id: str) -> ServiceType | None:
        """One type, or None."""
        statement = select(*_COLUMNS).where(
            ServiceTypeRow.workspace == workspace, ServiceTypeRow.id == type_id
        )
        async with self._connections.reading() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else ServiceType(*row)

    async def all(self, workspace: str) -> list[ServiceType]:
        """All types of a workspace, in the order of their ids."""
        statement = select(*_COLUMNS).where(ServiceTypeRow.workspace == workspace).order_by(ServiceTypeRow.id)
        async with self._connections.reading() as connection:
            return [ServiceType(*row) for row in await connection.execute(statement)]
