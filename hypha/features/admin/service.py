"""The functions of `admin-utils`, for the role `admin` alone (docs/permissions.md#admin-utils)."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hypha.auth.blocklist import Kind
from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.errors import InvalidRequest, NotFound
from hypha.features.admin.usage import metrics, resource_usage
from hypha.store.audit import AuditQuery
from hypha.values import check_offset, is_number, is_whole
from hypha.workspaces.records import RESERVED_IDS, to_summary

if TYPE_CHECKING:
    from hypha.features.admin.parts import Parts
    from hypha.store.blocklist import BlockRecord

MAX_ENTRIES = 10_000
MAX_WAIT_S = 60.0


class AdminUtils:
    """List, kick out, unload, block; usage, metrics and the audit log of this server."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._blocklist = parts.guard.blocklist

    def _note(self, action: str, context: Context, **detail: Any) -> None:
        self._parts.guard.note(f"admin_{action}", context, **detail)

    @permission(Level.ADMIN, by_root=True)
    async def list_servers(self, *, context: Context) -> list[str]:
        """List the ids of the running servers of this deployment."""
        elsewhere = self._parts.registry.elsewhere
        return [self._parts.server_id] if elsewhere is None else list(await elsewhere.servers())

    @permission(Level.ADMIN, by_root=True)
    async def kickout_client(
        self,
        workspace: str,
        client_id: str,
        code: int = 1000,
        reason: str | None = None,
        *,
        context: Context,
    ) -> None:
        """Close a client's connection and end what it holds; block its user to keep it out.

        It does not come back by itself: its reconnection tokens are refused from now on. Its program
        may connect anew with its own token.

        Args:
            workspace: Its workspace.
            client_id: Its id.
            code: Close code, 1000 to 1015 or 3000 to 4999.
            reason: Shown to the client.
        """
        if not is_whole(code) or code not in _CLOSE_CODES:
            raise InvalidRequest("The close code must be 1000 to 1003, 1007 to 1014 or 3000 to 4999.")
        elsewhere = self._parts.registry.elsewhere
        if elsewhere is not None:
            await elsewhere.prepare(str(workspace))
        client = self._parts.hub.client(str(workspace), str(client_id))
        if client is None or client.ended:
            raise NotFound(f"Client not connected: {workspace}/{client_id}"[:300])
        if client.is_inner:
            raise InvalidRequest(f"The client {client.address} runs inside the server and stays.")
        self._note("kickout_client", context, client=client.address, user=client.user.id, reason=reason)
        text = reason if isinstance(reason, str) and reason else "Kicked out by an administrator"
        try:
            await self._parts.tokens.end_reconnections(client.user)
        finally:
            self._parts.hub.kick(client, code, text[:300])

    @permission(Level.ADMIN, by_root=True)
    async def list_workspaces(self, *, context: Context) -> list[dict[str, Any]]:
        """List the workspaces that are in memory, with the number of their clients."""
        members = self._parts.members
        residents = sorted(self._parts.workspaces.residents, key=lambda found: found.record.id)
        return [
            {**to_summary(found.record), "client_count": members.clients_in(found.record.id)}
            for found in residents
        ]

    @permission(Level.ADMIN, by_root=True)
    async def unload_workspace(
        self, workspace: str, wait: bool = False, timeout: float = 10, *, context: Context
    ) -> bool:
        """Close all clients of a workspace and drop it from memory; it is loaded again on demand.

        Returns whether it is gone. One that isn't persistent is deleted.

        Args:
            workspace: Its id.
            wait: Return only when it is gone, or the time is over.
            timeout: Seconds to wait (60 at most).
        """
        if workspace in RESERVED_IDS:
            raise InvalidRequest(f"The workspace {workspace} belongs to the system and stays.")
        if not is_number(timeout) or not 0 <= timeout < 1e9:
            raise InvalidRequest("timeout must be a number of seconds.")
        hub, workspaces = self._parts.hub, self._parts.workspaces
        await workspaces.require(workspace)
        self._note("unload_workspace", context, target=workspace)
        for client in hub.clients.of(workspace):
            hub.kick(client, 1001, f"Workspace unloaded: {workspace}")
        until = hub.time() + min(float(timeout), MAX_WAIT_S)
        is_gone = await workspaces.unload(workspace)
        while wait and not is_gone and hub.time() < until:
            await asyncio.sleep(0.05)
            is_gone = await workspaces.unload(workspace)
        return is_gone

    @permission(Level.ADMIN, by_root=True)
    async def get_metrics(self, *, context: Context) -> dict[str, Any]:
        """Read the counters of this server as plain numbers."""
        return metrics(self._parts)

    @permission(Level.ADMIN, by_root=True)
    async def get_resource_usage(self, *, context: Context) -> dict[str, Any]:
        """Tell who uses how many connections and services, and the limits."""
        return resource_usage(self._parts)

    @permission(Level.ADMIN, by_root=True)
    async def block_user(
        self, user_id: str, duration: float = 3600, reason: str | None = None, *, context: Context
    ) -> dict[str, Any]:
        """Keep a user, and the tokens that descend from it, out; its connections are closed.

        Args:
            user_id: The user's id.
            duration: Seconds; 0 stands for 30 days.
            reason: Shown to the user.
        """
        return await self._block("user", user_id, duration, reason, context)

    @permission(Level.ADMIN, by_root=True)
    async def unblock_user(self, user_id: str, *, context: Context) -> bool:
        """Let a user in again; false if it was not blocked.

        Args:
            user_id: The user's id.
        """
        return await self._unblock("user", user_id, context)

    @permission(Level.ADMIN, by_root=True)
    async def block_ip(
        self, ip: str, duration: float = 3600, reason: str | None = None, *, context: Context
    ) -> dict[str, Any]:
        """Keep an address out, except for administrators; its connections are closed.

        Args:
            ip: IPv4 or IPv6 address.
            duration: Seconds; 0 stands for 30 days.
            reason: Shown to those who come from there.
        """
        return await self._block("ip", ip, duration, reason, context)

    @permission(Level.ADMIN, by_root=True)
    async def unblock_ip(self, ip: str, *, context: Context) -> bool:
        """Let an address in again; false if it was not blocked.

        Args:
            ip: IPv4 or IPv6 address.
        """
        return await self._unblock("ip", ip, context)

    @permission(Level.ADMIN, by_root=True)
    async def list_blocked(self, *, context: Context) -> dict[str, list[dict[str, Any]]]:
        """List who is kept out, as `{users, ips}`."""
        return {
            "users": [_shown(block) for block in self._blocklist.all("user")],
            "ips": [_shown(block) for block in self._blocklist.all("ip")],
        }

    @permission(Level.ADMIN, by_root=True)
    async def get_audit_log(
        self,
        action: str | None = None,
        user_id: str | None = None,
        workspace: str | None = None,
        since: float | None = None,
        until: float | None = None,
        offset: int = 0,
        limit: int = 100,
        *,
        context: Context,
    ) -> list[dict[str, Any]]:
        """Read the audit log, newest first.

        Each entry is a map with timestamp (Unix seconds), action (`connected`, `access_refused`,
        `token_minted`, `token_revoked`, `admin_…`, …), user_id, workspace, address, detail, count, first
        and last. Refusals that came again within an hour are one entry: count says how many there were,
        first and last (which is also timestamp) when. What one source does beyond its quota is counted
        in entries whose detail is `{"more": true}`.

        Args:
            action: Only this action.
            user_id: Only this user.
            workspace: Only this workspace.
            since: Unix time from which on.
            until: Unix time up to which.
            offset: Results to skip.
            limit: Most results (1 to 10000).
        """
        check_offset(offset)
        if not is_whole(limit) or limit < 1:
            raise InvalidRequest("limit must be 1 or more.")
        query = AuditQuery(
            _text(action), _text(user_id), _text(workspace), _moment(since, "since"), _moment(until, "until")
        )
        found = await self._parts.guard.audit.find(query, offset, min(limit, MAX_ENTRIES))
        return [{**asdict(entry), "last": entry.timestamp} for entry in found]

    async def _block(
        self, kind: Kind, subject: str, duration: float, reason: str | None, context: Context
    ) -> dict[str, Any]:
        block = await self._blocklist.block(kind, subject, duration, reason, context.user.id)
        self._note(f"block_{kind}", context, subject=block.subject, reason=block.reason)
        return _shown(block)

    async def _unblock(self, kind: Kind, subject: str, context: Context) -> bool:
        known = await self._blocklist.unblock(kind, subject)
        self._note(f"unblock_{kind}", context, subject=subject)
        return known


_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})


def _shown(block: BlockRecord) -> dict[str, Any]:
    name = "user_id" if block.kind == "user" else "ip"
    return {
        name: block.subject,
        "reason": block.reason,
        "blocked_by": block.created_by,
        "blocked_at": block.created_at,
        "expires_at": block.expires_at,
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)[:320]


def _moment(value: object, name: str) -> float | None:
    if value is None:
        return None
    if not is_number(value):
        raise InvalidRequest(f"'{name}' must be a Unix time in seconds.")
    return float(value)
