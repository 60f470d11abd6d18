"""Service types: shapes that services of a workspace can be checked against.

See docs/spec/manager.md#settings.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from hypha.addresses import check_service_name
from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.errors import InvalidRequest, NotFound, PermissionDenied, ServiceTypeExists
from hypha.store import ServiceType, Store
from hypha.store.usage import Kind
from hypha.wire.decodable import check_key
from hypha.workspaces.lifecycle import Workspaces
from hypha.workspaces.records import PUBLIC, type_info
from hypha.workspaces.values import plain

_KEYS = ("name", "definition", "description", "config", "docs")


class ServiceTypes:
    """Registering and finding types; those of `public` are for everybody."""

    def __init__(self, workspaces: Workspaces, store: Store) -> None:
        self._workspaces = workspaces
        self._store = store

    async def register(
        self, context: Context, type_info_given: object, *, overwrite: bool = False
    ) -> dict[str, Any]:
        """Store a type `{id, name, definition, description?, config?, docs?}` in the current workspace.
        `overwrite` is for the server's own types, which are registered at each start.

        Raises:
            InvalidRequest, ServiceTypeExists: docs/spec/manager.md#error-texts.
            QuotaExceeded: there are too many.
        """
        found = _parse(type_info_given, context.workspace)
        async with self._workspaces.changing(context.workspace, context.user) as resident:
            record = resident.record
            allowance = None if overwrite else self._workspaces.allowance(record, Kind.TYPES)
            added = await self._store.service_types.add(
                record, found, time.time(), overwrite=overwrite, allowance=allowance
            )
        if not added:
            raise ServiceTypeExists(f"Service type already exists: {found.id}")
        return type_info(context.workspace, found)

    async def get(self, context: Context, type_id: object) -> dict[str, Any]:
        """One type, by `id` in the current workspace or `workspace/id`.

        Raises:
            NotFound: `Service type not found: ID`.
            PermissionDenied: the caller may not read that workspace.
        """
        text = str(type_id)[:512]
        workspace, slash, name = text.rpartition("/")
        workspace = workspace if slash else context.workspace
        await self._check_readable(context, workspace)
        found = await self._store.service_types.get(workspace, name)
        if found is None:
            raise NotFound(f"Service type not found: {text}")
        return type_info(workspace, found)

    async def list(self, context: Context, workspace: object = None) -> list[dict[str, Any]]:
        """All types of a workspace, by default the current one."""
        place = str(workspace)[:200] if workspace else context.workspace
        await self._check_readable(context, place)
        return [type_info(place, found) for found in await self._store.service_types.all(place)]

    async def _check_readable(self, context: Context, workspace: str) -> None:
        if workspace == PUBLIC or context.level(workspace) >= Level.READ:
            return
        if await self._workspaces.level_in(context.user, workspace) < Level.READ:
            raise PermissionDenied(f"Permission denied for workspace {workspace}")


def _parse(given: object, workspace: str) -> ServiceType:
    if not isinstance(given, Mapping):
        raise InvalidRequest("A service type must be an object with 'id', 'name' and 'definition'.")
    text = given.get("id")
    place, slash, name = str(text or "").rpartition("/")
    for named in (place if slash else None, given.get("workspace")):
        if named and named != workspace:
            raise InvalidRequest(f"Workspace mismatch: {str(named)[:200]} != {workspace}")
    if not name:
        raise InvalidRequest("Service type id must be provided.")
    check_key(check_service_name(name), "the id of a service type")
    values = {key: plain(given.get(key), key) for key in _KEYS}
    for key in ("name", "description"):
        if values[key] is not None and not isinstance(values[key], str):
            raise InvalidRequest(f"The '{key}' of a service type must be text.")
    if not isinstance(values["config"] or {}, Mapping):
        raise InvalidRequest("The 'config' of a service type must be an object.")
    return ServiceType(
        name,
        values["name"] or name,
        values["definition"],
        values["description"] or "",
        values["config"] or {},
        values["docs"],
    )
