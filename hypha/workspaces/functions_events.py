"""Manager functions on events: subscriptions, and the log of what users did.

See docs/spec/wire-protocol.md#events.
"""

from __future__ import annotations

from typing import Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.errors import InvalidRequest, NotFound, PermissionDenied
from hypha.hub.client import Client
from hypha.store.events import MAX_FOUND_BYTES
from hypha.workspaces.parts import ManagerFunctions
from hypha.workspaces.standing import OWN_SUBSCRIPTIONS

MAX_NAMES_AT_ONCE = 1000


class EventFunctions(ManagerFunctions):
    """What a client may do with events."""

    @permission(Level.READ_WRITE, by_lapsed=True, takes_bytes=1024 * 1024)
    async def echo(self, data: Any, *, context: Context) -> Any:
        """Return the argument.

        Args:
            data: Anything that can be sent.
        """
        return data

    @permission(Level.READ_WRITE)
    async def log(self, msg: Any, *, context: Context) -> None:
        """Store a message in the event log of the workspace.

        Args:
            msg: Text or plain data.
        """
        await self._parts.tenancy.event_log.log(context, "log", msg)

    @permission(Level.READ_WRITE)
    async def log_event(self, event_type: str, data: Any = None, *, context: Context) -> None:
        """Store an event in the event log of the workspace.

        Args:
            event_type: Name without spaces.
            data: Plain data that belongs to it.
        """
        await self._parts.tenancy.event_log.log(context, event_type, data)

    @permission(Level.READ)
    async def get_event_stats(
        self,
        event_type: str | None = None,
        start_time: str | None = None,
        end_time: str | None = None,
        *,
        context: Context,
    ) -> list[dict[str, Any]]:
        """Count the caller's own logged events of this workspace by type, of the 1000 most frequent types.

        Args:
            event_type: Only this type.
            start_time: ISO time from which on (UTC).
            end_time: ISO time up to which.
        """
        return await self._parts.tenancy.event_log.count(context, event_type, start_time, end_time)

    @permission(Level.READ, gives_bytes=MAX_FOUND_BYTES)
    async def get_events(
        self,
        event_type: str | None = None,
        start_time: str | None = None,
        end_time: str | None = None,
        *,
        context: Context,
    ) -> list[dict[str, Any]]:
        """List the caller's own logged events of this workspace, oldest first; the newest 10,000 or 16 MiB.

        Args:
            event_type: Only this type.
            start_time: ISO time from which on (UTC).
            end_time: ISO time up to which.
        """
        return await self._parts.tenancy.event_log.find(context, event_type, start_time, end_time)

    @permission(Level.NONE, on="nothing", by_lapsed=True)
    async def subscribe(self, event_type: str | list[str], *, context: Context) -> bool:
        """Receive events of this workspace from now on.

        Args:
            event_type: Name or list of names, e.g. `service_added`, `client_disconnected`, or your own.
        """
        names = parse_event_names(event_type, context.workspace)
        if not OWN_SUBSCRIPTIONS.issuperset(names):
            context.require_valid()
            context.require_insider()
        client = self._own_client(context)
        self._parts.hub.events.subscribe(client, names)
        await self._parts.keep_subscriptions(client)
        return True

    @permission(Level.NONE, on="nothing", by_lapsed=True)
    async def unsubscribe(self, event_type: str | list[str], *, context: Context) -> bool:
        """Stop receiving events.

        Args:
            event_type: Name or list of names given to subscribe.
        """
        names = parse_event_names(event_type, context.workspace)
        client = self._own_client(context)
        self._parts.hub.events.unsubscribe(client, names)
        await self._parts.keep_subscriptions(client)
        return True

    def _own_client(self, context: Context) -> Client:
        client = self._parts.hub.client(context.workspace, context.client_id)
        if client is None:
            raise NotFound(f"Connection not found for client {context.address}")
        return client


def parse_event_names(event_type: object, workspace: str) -> list[str]:
    """Check the names of a subscription; none may point at another workspace."""
    names = event_type if isinstance(event_type, list | tuple) else [event_type]
    if not names or len(names) > MAX_NAMES_AT_ONCE:
        raise InvalidRequest(f"Name 1 to {MAX_NAMES_AT_ONCE} event types.")
    for name in names:
        if not isinstance(name, str) or not name:
            raise InvalidRequest("Event type must be a non-empty string.")
        if _is_foreign(name, workspace):
            raise PermissionDenied(
                f"Subscription to event '{name[:200]}' is forbidden. Permission denied: it names another "
                "workspace; you receive events of your own workspace only."
            )
    return [str(name) for name in names]


def _is_foreign(name: str, workspace: str) -> bool:
    """True for `other/x`, `ws-other`, `ws-other:x`; what only begins like the own name is foreign."""
    owner, slash, _ = name.partition("/")
    if slash:
        return owner != workspace
    return name.startswith("ws-") and name.partition(":")[0] != workspace
