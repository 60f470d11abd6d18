"""Bookmarks that users keep in their own workspaces (core-api 2.2, 11.1 #18)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.errors import InvalidRequest, NotFound, PermissionDenied, WorkspaceNotFound
from hypha.store import Bookmark, Store
from hypha.workspaces.lifecycle import Workspaces
from hypha.workspaces.records import bookmark_info

WORKSPACE = "workspace"
SERVICE = "service"
LookUp = Callable[[str, Context], Awaitable[Mapping[str, Any]]]


class Bookmarks:
    """Only what the caller may see can be bookmarked, or bookmarks would tell names of others.

    Args:
        service_info: finds a service as the caller sees it, or raises; from the registry.
    """

    def __init__(self, workspaces: Workspaces, store: Store, service_info: LookUp | None = None) -> None:
        self.service_info = service_info
        self._workspaces = workspaces
        self._store = store

    async def add(self, context: Context, item: object) -> None:
        """Bookmark `{bookmark_type: "workspace" or "service", id}` for the caller.

        Raises:
            InvalidRequest: `Bookmark type must be provided.`, `Invalid bookmark type: X`.
            PermissionDenied, NotFound: the target is not for the caller, or isn't there.
        """
        kind, target = _parse(item)
        bookmark = await (self._workspace if kind == WORKSPACE else self._service)(target, context)
        user = context.user
        async with self._workspaces.changing(_own(context), user) as resident:
            await self._store.bookmarks.put(resident.record, bookmark, time.time())

    async def remove(self, context: Context, item: object) -> None:
        """Remove a bookmark of the caller.

        Raises:
            NotFound: there is none.
        """
        kind, target = _parse(item)
        if not await self._store.bookmarks.remove(_own(context), kind, target):
            raise NotFound(f"Bookmark not found: {kind} {target}")

    async def list(self, context: Context) -> list[dict[str, Any]]:
        """The caller's bookmarks, oldest first."""
        return [bookmark_info(bookmark) for bookmark in await self._store.bookmarks.all(_own(context))]

    async def _workspace(self, target: str, context: Context) -> Bookmark:
        record = await self._workspaces.load(target)
        if record is None:
            raise WorkspaceNotFound(f"Workspace not found: {target}")
        if self._workspaces.level_for(context.user, record) < Level.READ:
            raise PermissionDenied(f"Permission denied for workspace {target}")
        return Bookmark(WORKSPACE, record.id, record.name or record.id, record.description)

    async def _service(self, target: str, context: Context) -> Bookmark:
        if self.service_info is None:
            raise NotFound(f"Service not found: {target}")
        info = await self.service_info(target, context)
        config = {
            key: value
            for key, value in dict(info.get("config") or {}).items()
            if key in ("visibility", "require_context", "run_in_executor", "type")
        }
        return Bookmark(
            SERVICE, target, str(info.get("name") or target), str(info.get("description") or ""), config
        )


def _own(context: Context) -> str:
    """Where the caller's bookmarks are: in the own workspace, in which a child token has none."""
    own = context.user.own_workspace
    if context.user.parent is not None and context.level(own) < Level.READ_WRITE:
        raise PermissionDenied("Permission denied: a generated token has no bookmarks; use your own login.")
    return own


def _parse(item: object) -> tuple[str, str]:
    if not isinstance(item, Mapping) or not item.get("bookmark_type"):
        raise InvalidRequest("Bookmark type must be provided.")
    kind, target = item["bookmark_type"], item.get("id")
    if kind not in (WORKSPACE, SERVICE):
        raise InvalidRequest(f"Invalid bookmark type: {str(kind)[:100]}")
    if not isinstance(target, str) or not 0 < len(target) <= 512:
        raise InvalidRequest("The 'id' of a bookmark must be text of 1 to 512 characters.")
    return kind, target
