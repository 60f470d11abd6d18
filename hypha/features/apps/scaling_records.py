"""Which apps are scaled, and how many instances they had: rows that one replica answers for."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, update

from hypha.features.apps.tables import AppScaling
from hypha.store.records import WorkspaceRecord
from hypha.store.replicas import owning
from hypha.store.repository import Repository, upsert
from hypha.store.workspaces import ensure


@dataclass(frozen=True, slots=True)
class ScalingState:
    """How many instances an app is to have, and when one was last added and taken away (Unix time, s)."""

    workspace: str
    app_id: str
    wanted: int
    up_at: float = 0.0
    down_at: float = 0.0


class ScalingRecords(Repository):
    """One row for each app that is scaled; its replica alone starts and stops instances."""

    async def put(self, record: WorkspaceRecord, state: ScalingState) -> None:
        """Write a state down, as this replica's.

        Raises:
            LeaseLost: the lease of this replica has ended.
        """
        row = {
            "workspace": state.workspace, "app_id": state.app_id, "wanted": state.wanted,
            "up_at": state.up_at, "down_at": state.down_at, "replica": self._connections.replica,
        }  # fmt: skip
        async with self._connections.writing() as connection, owning():
            await ensure(connection, record, self._connections.replica)
            await upsert(connection, AppScaling, row, ["workspace", "app_id"])

    async def remove(self, workspace: str, app_id: str) -> None:
        """Forget one, if it is this replica's."""
        own = AppScaling.replica.is_not_distinct_from(self._connections.replica)
        gone = delete(AppScaling).where(AppScaling.workspace == workspace, AppScaling.app_id == app_id, own)
        async with self._connections.writing() as connection:
            await connection.execute(gone)

    async def adopt(self) -> list[ScalingState]:
        """Answer from now on for those of replicas that are gone."""
        left = update(AppScaling).where(AppScaling.replica.is_(None))
        columns = (
            AppScaling.workspace, AppScaling.app_id, AppScaling.wanted, AppScaling.up_at, AppScaling.down_at,
        )  # fmt: skip
        statement = left.values(replica=self._connections.replica).returning(*columns)
        async with self._connections.writing() as connection, owning():
            return [ScalingState(*row) for row in await connection.execute(statement)]
