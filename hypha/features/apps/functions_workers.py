"""Functions of the app controller for workers."""

from __future__ import annotations

from typing import Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.errors import InvalidRequest
from hypha.features.apps.base import Functions, checked_text
from hypha.features.apps.workers import full_id


class WorkerFunctions(Functions):
    """Who runs apps."""

    @permission(Level.READ)
    async def list_workers(self, app_type: str | None = None, *, context: Context) -> list[dict[str, Any]]:
        """List the workers of the workspace, then those that everybody may use.

        Args:
            app_type: Those alone that run apps of this type.
        """
        kind = checked_text(app_type, "app_type")
        found = await self.parts.workers.of(context.workspace)
        return [worker.shown() for worker in found if kind is None or kind in worker.supported_types]

    @permission(Level.READ_WRITE, note="read_write on current workspace, and on that of the worker")
    async def edit_worker(self, worker_id: str, disabled: bool | None = None, *, context: Context) -> None:
        """Say whether a worker may be chosen; its sessions are stopped when it may not any more.

        Args:
            worker_id: `workspace/client:service`, or `client:service` in the current workspace.
            disabled: true: it is never chosen, by whomever; false: it is again.
        """
        given = checked_text(worker_id, "worker_id")
        full = full_id(given or "", context.workspace)
        place = await self.place(full.partition("/")[0], context, Level.READ_WRITE)
        workers, records = self.parts.workers, self.parts.records
        if disabled is None:
            return
        if not disabled:
            await records.enable(place.workspace, full)
            workers.enable(full)
            return
        if full not in {record.id for record in workers.records(place.workspace)}:
            raise InvalidRequest(f"Worker {full} is not connected: see list_workers.")
        async with self.parts.workspaces.changing(place.workspace, place.user) as resident:
            await records.disable(resident.record, full)
        workers.disable(full)
        for session in self.parts.running.sessions.all():
            if session.worker.id == full:
                self.parts.running.stop_soon(session)
