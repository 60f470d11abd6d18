"""Functions of the app controller for workers."""

from __future__ import annotations

from typing import Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.features.apps.base import Functions, checked_text


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
