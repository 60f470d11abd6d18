"""Manager functions on workspaces: create, list, describe, delete, bookmark.

See docs/spec/manager.md#workspaces.
"""

from __future__ import annotations

from typing import Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import OWN_WORKSPACE, permission
from hypha.errors import InvalidRequest, NotFound
from hypha.registry.directory import LookupOptions
from hypha.registry.shown import LISTING_BYTES
from hypha.store import Bookmark
from hypha.workspaces.parts import ManagerFunctions
from hypha.workspaces.records import to_summary


class WorkspaceFunctions(ManagerFunctions):
    """What a client may do with workspaces."""

    @permission(
        Level.READ_WRITE,
        on="nothing",
        note="a registered user whose token may write; to overwrite, admin there",
    )
    async def create_workspace(
        self, config: dict[str, Any], overwrite: bool = False, *, context: Context
    ) -> dict[str, Any]:
        """Create a workspace of which the caller becomes an owner.

        Args:
            config: Map with id (lower-case letters, digits, at least one hyphen), name, description,
                persistent, owners, read_only, icon, covers, docs, config.
            overwrite: Replace the settings of an existing one; its services and clients end.
        """
        if isinstance(config, dict) and not config.get("id") and config.get("name"):
            config = {**config, "id": config["name"]}
        return await self._parts.tenancy.catalogue.create(config, context, overwrite=bool(overwrite))

    @permission(Level.ADMIN, on="target workspace")
    async def delete_workspace(self, workspace: str, *, context: Context) -> None:
        """Delete a workspace with everything in it; the tokens for it end.

        Args:
            workspace: Its id.
        """
        ended = await self._parts.tenancy.catalogue.delete(workspace, context)
        self._parts.tokens.revocations.apply(ended)

    @permission(Level.READ, gives_bytes=LISTING_BYTES)
    async def list_workspaces(
        self,
        match: dict[str, Any] | None = None,
        offset: int = 0,
        limit: int = 256,
        *,
        context: Context,
    ) -> list[dict[str, Any]]:
        """List the workspaces that the caller may read or owns.

        Args:
            match: Values that fields must have, e.g. `{"persistent": true}`.
            offset: Results to skip.
            limit: Most results (1 to 256).
        """
        found = await self._parts.tenancy.catalogue.visible_to(context.user, match, offset, limit)
        return [to_summary(record) for record in found]

    @permission(Level.READ, on="target workspace", gives_bytes=LISTING_BYTES)
    async def get_workspace_info(self, workspace: str | None = None, *, context: Context) -> dict[str, Any]:
        """Describe a workspace that the caller may read; never its environment variables.

        Args:
            workspace: Its id; the current one by default.
        """
        workspaces = self._parts.workspaces
        record = await workspaces.require(workspace or context.workspace)
        await self._require(Level.READ, record.id, context)
        return await workspaces.describe(record)

    @permission(Level.READ, by_lapsed=True)
    async def check_status(self, *, context: Context) -> dict[str, Any]:
        """Tell whether the workspace is ready, and the caller's permission: `r`, `rw` or `a`."""
        record = await self._parts.workspaces.load(context.workspace)
        status: dict[str, Any] = {
            "status": "ready",
            "errors": None,
            "user_permission": context.level().code,
        }
        if record is None:
            status |= {"status": "not_found", "error": f"Workspace not found: {context.workspace}"}
        return status

    @permission(
        Level.NONE, on=OWN_WORKSPACE, note="read on what is bookmarked; people only, no generated tokens"
    )
    async def bookmark(self, item: dict[str, Any], *, context: Context) -> None:
        """Remember a workspace or service in the caller's own workspace.

        Args:
            item: Map with bookmark_type (`workspace` or `service`) and id.
        """
        kind, target = _parse_bookmark(item)
        made = await (self._mark_workspace if kind == "workspace" else self._mark_service)(target, context)
        await self._parts.tenancy.bookmarks.add(context.user, made)

    async def _mark_workspace(self, target: str, context: Context) -> Bookmark:
        record = await self._parts.workspaces.require(target)
        await self._require(Level.READ, record.id, context)
        return Bookmark("workspace", record.id, record.name or record.id, record.description)

    async def _mark_service(self, target: str, context: Context) -> Bookmark:
        info = await self._parts.directory.get_service_info(target, context, LookupOptions(mode="first"))
        kept = {key: info["config"].get(key) for key in ("visibility", "workspace")}
        return Bookmark("service", info["id"], info["name"] or "", info["description"] or "", kept)

    @permission(Level.NONE, on=OWN_WORKSPACE)
    async def unbookmark(self, item: dict[str, Any], *, context: Context) -> None:
        """Forget a bookmark.

        Args:
            item: Map with bookmark_type (`workspace` or `service`) and id.
        """
        kind, target = _parse_bookmark(item)
        wanted = {target, target if "/" in target else f"{context.workspace}/{target}"}
        bookmarks = self._parts.tenancy.bookmarks
        known = [mark.id for mark in await bookmarks.list(context.user) if mark.bookmark_type == kind]
        named = [name for name in known if name in wanted] or [n for n in known if _short_id(n) in wanted]
        if not named:
            raise NotFound(f"Bookmark not found: {kind} {target}")
        for name in named:
            await bookmarks.remove(context.user, kind, name)


def _short_id(service_id: str) -> str:
    """`ws/name` of `ws/client:name`: services are bookmarked by either, and kept by the second."""
    workspace, _, rest = service_id.partition("/")
    return f"{workspace}/{rest.rpartition(':')[2]}"


def _parse_bookmark(item: object) -> tuple[str, str]:
    """Type and id of a bookmark."""
    if not isinstance(item, dict) or not item.get("bookmark_type"):
        raise InvalidRequest("Bookmark type must be provided.")
    kind, target = item["bookmark_type"], item.get("id")
    if kind not in ("workspace", "service"):
        raise InvalidRequest(f"Invalid bookmark type: {str(kind)[:100]}")
    if not isinstance(target, str) or not 0 < len(target) <= 1024:
        raise InvalidRequest("The 'id' of a bookmark must be text.")
    return kind, target
