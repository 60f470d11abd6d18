"""Service types of workspaces."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import select

from hypha.store.records import ServiceType, WorkspaceRecord
from hypha.store.repository import Connections, Repository, encoded_size, insert_if_absent, upsert
from hypha.store.tables import ServiceTypeRow
from hypha.store.usage import Allowance, Kind, Usage
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

    def __init__(self, connections: Connections, usage: Usage) -> None:
        super().__init__(connections)
        self._usage = usage

    async def add(
        self,
        record: WorkspaceRecord,
        service_type: ServiceType,
        now: float,
        *,
        overwrite: bool = False,
        allowance: Allowance | None = None,
    ) -> bool:
        """Write a type, and the workspace if it lived in memory only; False if the id is taken.

        Raises:
            QuotaExceeded: that would be more than is allowed; nothing is changed.
        """
        fields = asdict(service_type)
        size = encoded_size(fields)
        row = {**fields, "workspace": record.id, "created_at": now, "size": size}
        where = ServiceTypeRow.workspace == record.id, ServiceTypeRow.id == service_type.id
        async with self._connections.writing() as connection:
            await ensure(connection, record, self._connections.replica)
            await self._usage.hold(connection, record, Kind.TYPES)
            if not overwrite:
                is_new = await insert_if_absent(connection, ServiceTypeRow, row)
                if is_new:
                    await self._usage.add(connection, record, Kind.TYPES, 1, size, allowance)
                return is_new
            before = await connection.execute(select(ServiceTypeRow.size).where(*where))
            known = before.scalar_one_or_none()
            added = (1, size) if known is None else (0, size - known)
            await self._usage.add(connection, record, Kind.TYPES, *added, allowance)
            await upsert(connection, ServiceTypeRow, row, ("workspace", "id"))
            return True

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
