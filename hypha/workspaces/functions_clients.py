"""Manager functions on clients: who is here, who still answers (docs/spec/manager.md#functions)."""

from __future__ import annotations

import asyncio
from typing import Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.errors import HyphaError, InvalidRequest, PermissionDenied
from hypha.hub.client import Client
from hypha.registry.shown import LISTING_BYTES
from hypha.values import is_number
from hypha.workspaces.parts import ManagerFunctions

PING_BATCH = 50
MAX_PING_TIMEOUT_S = 60.0


class ClientFunctions(ManagerFunctions):
    """What a client may know of and do to other clients."""

    @permission(Level.READ, on="target workspace", gives_bytes=LISTING_BYTES)
    async def list_clients(self, workspace: str | None = None, *, context: Context) -> list[dict[str, Any]]:
        """List the connected clients as `{id, user}`.

        Args:
            workspace: Another workspace that the caller may read.
        """
        workspace = workspace or context.workspace
        await self._require(Level.READ, workspace, context)
        clients = await self._parts.roster.of(workspace)
        return [
            {"id": client.address, "user": client.user.facts_for(workspace)}
            for client in sorted(clients, key=lambda client: client.address)
        ]

    @permission(Level.READ, on="target workspace", by_lapsed=True)
    async def ping(self, client_id: str, timeout: float = 5, *, context: Context) -> str:
        """Ask a client whether it answers: `pong`, or a text that begins `Failed to ping client`.

        Args:
            client_id: `client` or `workspace/client`.
            timeout: Seconds to wait.
        """
        address = str(client_id)[:600]
        if "/" not in address:
            address = f"{context.workspace}/{address}"
        try:
            timeout_s = ping_timeout(timeout)
            workspace = address.partition("/")[0]
            if workspace != context.workspace:
                context.require_valid()
                await self._require(Level.READ, workspace, context)
            return await self._ping(address, timeout_s)
        except HyphaError as error:
            return f"Failed to ping client {address}: {error}"

    async def _ping(self, address: str, timeout_s: float) -> str:
        try:
            async with asyncio.timeout(timeout_s):
                await self._parts.peer.call(address, "services.built-in.ping", ["ping"], timeout_s=timeout_s)
        except TimeoutError:
            return f"Failed to ping client {address}: no answer within {timeout_s:g} s"
        return "pong"

    @permission(Level.ADMIN, on="target workspace", note="admin on current workspace and target workspace")
    async def cleanup(
        self, workspace: str | None = None, timeout: float = 5, *, context: Context
    ) -> dict[str, Any]:
        """Remove clients that no longer answer; an empty workspace that is not persistent goes too.

        Returns `{}`, `{removed_clients}` or `{removed_workspace, removed_clients}`.

        Args:
            workspace: Another workspace of which the caller is admin.
            timeout: Seconds to wait for each client.
        """
        workspace = workspace or context.workspace
        if min(context.level(), await self._level(context, workspace)) < Level.ADMIN:
            raise PermissionDenied(f"Permission denied for workspace {workspace}, user: {context.user.id}")
        timeout_s = ping_timeout(timeout)
        clients = self._parts.hub.clients.of(workspace)
        if not clients:
            removed = await self._parts.workspaces.remove_if_empty(workspace)
            return {"removed_workspace": workspace, "removed_clients": []} if removed else {}
        silent: list[str] = []
        for start in range(0, len(clients), PING_BATCH):
            batch = clients[start : start + PING_BATCH]
            answers = await asyncio.gather(*(self._remove_if_silent(client, timeout_s) for client in batch))
            silent += [client.address for client, gone in zip(batch, answers, strict=True) if gone]
        return {"removed_clients": silent} if silent else {}

    async def _remove_if_silent(self, client: Client, timeout_s: float) -> bool:
        """Ping a client and end it if it is silent, unless it came back meanwhile."""
        generation = client.generation
        try:
            if await self._ping(client.address, timeout_s) == "pong":
                return False
        except HyphaError:
            pass  # as silent as one that does not answer
        hub = self._parts.hub
        if client.generation != generation or hub.client(client.workspace, client.client_id) is not client:
            return False
        hub.kick(client, 1001, "Removed: it did not answer a ping of the workspace's cleanup")
        return True

    @permission(Level.READ, gives_bytes=LISTING_BYTES)
    async def get_summary(self, *, context: Context) -> dict[str, Any]:
        """Summarise the workspace: its clients and services, and how much of which limit is used."""
        workspace = await self._parts.workspaces.require(context.workspace)
        limits = await self._parts.limits_of(
            context
        )  # first, for it waits: the rest is much to keep meanwhile
        clients = sorted(client.address for client in await self._parts.roster.of(context.workspace))
        services = await self._parts.listing.records(context)
        return {
            "name": workspace.name,
            "description": workspace.description,
            "client_count": len(clients),
            "clients": clients,
            "service_count": len(services),
            "services": [
                {key: info[key] for key in ("id", "name", "type", "description", "config")}
                for info in self._parts.listing.page(context, services)
            ],
            "limits": limits,
        }


def ping_timeout(value: object) -> float:
    """Seconds to wait, at most MAX_PING_TIMEOUT_S."""
    if not is_number(value) or not 0 < value < float("inf"):
        raise InvalidRequest("timeout must be a positive number of seconds.")
    return min(float(value), MAX_PING_TIMEOUT_S)
