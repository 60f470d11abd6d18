"""Manager functions on what is set in a workspace: variables and service types.

See docs/spec/manager.md#settings.
"""

from __future__ import annotations

from typing import Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.registry.shown import LISTING_BYTES
from hypha.workspaces.parts import ManagerFunctions


class SettingFunctions(ManagerFunctions):
    """What a client may set in its workspace."""

    @permission(Level.READ_WRITE)
    async def set_env(self, key: str, value: Any = None, *, context: Context) -> None:
        """Set an environment variable of the workspace; it is encrypted at rest.

        Args:
            key: Its name.
            value: Text or plain data; null deletes the variable.
        """
        await self._parts.tenancy.environment.set(context, key, value)

    @permission(Level.READ_WRITE, gives_bytes=LISTING_BYTES // 4)
    async def get_env(self, key: str | None = None, value: Any = None, *, context: Context) -> Any:
        """Get an environment variable of the workspace, or a map of all.

        Args:
            key: Its name; all variables by default.
            value: Not read; the guide's JavaScript example passes it.
        """
        return await self._parts.tenancy.environment.get(context, key)

    @permission(Level.READ_WRITE)
    async def register_service_type(self, type_info: dict[str, Any], *, context: Context) -> dict[str, Any]:
        """Register a service type, against which services can be checked.

        Args:
            type_info: Map with id, name, definition (a service of function schemas), description,
                config, docs.

        Returns the type, with the id as it was given.
        """
        made = await self._parts.tenancy.service_types.register(context, type_info)
        return {**made, "id": type_info["id"]}

    @permission(Level.READ, on="target workspace")
    async def get_service_type(self, type_id: str, *, context: Context) -> dict[str, Any]:
        """Get a service type.

        Args:
            type_id: `id` or `workspace/id`; those of `public` are for everybody.
        """
        return await self._parts.tenancy.service_types.get(context, type_id)

    @permission(Level.READ, on="target workspace", gives_bytes=LISTING_BYTES)
    async def list_service_types(
        self, workspace: str | None = None, *, context: Context
    ) -> list[dict[str, Any]]:
        """List the service types of a workspace.

        Args:
            workspace: Another workspace that the caller may read.
        """
        return await self._parts.tenancy.service_types.list(context, workspace)
