"""Events: who subscribed to what, and their way to all subscribers (docs/spec/wire-protocol.md#events)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hypha.auth.scopes import Level
from hypha.errors import InvalidRequest, LimitReached, PermissionDenied
from hypha.hub.outbox import Kind
from hypha.hub.shares import Room, Shares
from hypha.wire.frames import Frame, encode

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.hub.flow import Flow
    from hypha.hub.stats import HubStats
    from hypha.hub.upcalls import Upcalls

MAX_SUBSCRIPTIONS = 1000
MAX_ALL_SUBSCRIPTIONS = Room(free=32, party=50_000, strangers=100_000, total=1_000_000)
MAX_EVENT_NAME = 256
MAX_EVENT_BYTES = 512 * 1024
RESERVED_EVENTS = frozenset(
    {
        "client_connected", "client_disconnected", "client_updated", "service_added", "service_removed",
        "service_updated", "workspace_loaded", "workspace_ready", "workspace_changed", "workspace_deleted",
        "workspace_unloaded", "workspace_status_changed", "force-exit", "peer_not_found", "error",
        "connection_info", "reconnection_token", "ping", "pong",
    }
)  # fmt: skip
"""Event names that only the server may send (docs/spec/wire-protocol.md#reserved-names)."""
_OF_OBJECTS = frozenset(
    {
        "__proto__",
        "__defineGetter__",
        "__defineSetter__",
        "__lookupGetter__",
        "__lookupSetter__",
        "constructor",
        "hasOwnProperty",
        "isPrototypeOf",
        "propertyIsEnumerable",
        "toLocaleString",
        "toString",
        "valueOf",
    }
)
"""Names that JavaScript finds on any object: its library takes a function there for a list of listeners, and
throws out of its socket."""


class Events:
    """Delivers events to the clients of a workspace that subscribed to their type."""

    def __init__(self, flow: Flow, stats: HubStats, upcalls: Upcalls) -> None:
        self._flow = flow
        self._stats = stats
        self._upcalls = upcalls
        self._subscribers: dict[str, dict[str, set[Client]]] = {}
        """By workspace and type; nothing in it is empty."""
        self._counted = Shares(MAX_ALL_SUBSCRIPTIONS)
        """How many subscriptions clients have together."""

    def subscribe(self, client: Client, names: Iterable[str]) -> None:
        """Deliver events of these types to the client from now on.

        Raises:
            LimitReached: it, or the clients of its user or address, would have too many.
        """
        names = set(names)
        if len(client.subscriptions | names) > MAX_SUBSCRIPTIONS:
            raise LimitReached(f"A client may subscribe to at most {MAX_SUBSCRIPTIONS} event types.")
        if any(len(name) > MAX_EVENT_NAME for name in names):
            raise LimitReached(f"Event types may have at most {MAX_EVENT_NAME} characters.")
        fresh = names - client.subscriptions
        if not fresh:
            return
        if not self._counted.note(client, len(client.subscriptions) + len(fresh)):
            raise LimitReached("The clients of your user or address subscribe to too many event types.")
        client.subscriptions |= fresh
        of_workspace = self._subscribers.setdefault(client.workspace, {})
        for name in fresh:
            of_workspace.setdefault(name, set()).add(client)

    def unsubscribe(self, client: Client, names: Iterable[str]) -> None:
        """Stop delivering events of these types to the client."""
        gone = client.subscriptions & set(names)
        if gone:
            client.subscriptions -= gone
            self._counted.note(client, len(client.subscriptions))
            self._strike(client, gone)

    def forget(self, client: Client) -> None:
        """Deliver nothing more to an ended client; what it had subscribed to can still be read from it."""
        self._strike(client, client.subscriptions)
        self._counted.forget(client)

    def _strike(self, client: Client, names: Iterable[str]) -> None:
        of_workspace = self._subscribers.get(client.workspace)
        if of_workspace is None:
            return
        for name in names:
            clients = of_workspace.get(name)
            if clients is not None:
                clients.discard(client)
                if not clients:
                    del of_workspace[name]
        if not of_workspace:
            del self._subscribers[client.workspace]

    def reach_others(self, workspace: str, kind: str, sender: Client) -> bool:
        """Whether somebody with other rights than the sender subscribed to these events."""
        clients = self._subscribers.get(workspace, {}).get(kind, ())
        return any(client.rights is not sender.rights for client in clients)

    def broadcast(self, workspace: str, kind: str, frame: Frame, sender: Client | None = None) -> None:
        """Send one packed event to all subscribers; `sender` is paused if one of them is full."""
        if self._upcalls.elsewhere is not None:
            self._upcalls.elsewhere.publish(workspace, kind, frame)
        self.spread(workspace, kind, frame, sender)

    def spread(self, workspace: str, kind: str, frame: Frame, sender: Client | None = None) -> None:
        """The same, to those of this replica alone."""
        of_workspace = self._subscribers.get(workspace)
        clients = of_workspace.get(kind) if of_workspace else None
        if not clients:
            return
        self._stats.broadcasts += 1
        for client in tuple(clients):
            client.deliver(frame, Kind.EVENT)
            if client.pressure is not None and sender is not None:
                self._flow.pause(sender, client)

    def publish(self, workspace: str, kind: str, data: Any) -> None:
        """Send an event of the server to a workspace; it is packed only if somebody subscribed to it."""
        of_workspace = self._subscribers.get(workspace)
        if (of_workspace and kind in of_workspace) or self._upcalls.elsewhere is not None:
            self.broadcast(workspace, kind, encode({"type": kind, "to": "*", "data": data}))


def check_event(sender: Client, kind: str, workspace: str, client_id: str, size: int) -> None:
    """Events stay where their sender may write.

    Raises:
        InvalidRequest: it is too large, or has a name that JavaScript cannot read.
        PermissionDenied: its name is the server's, or it may not go there.
    """
    if kind in RESERVED_EVENTS:
        raise PermissionDenied(f"Event name {kind!r} is reserved for the server.")
    if kind in _OF_OBJECTS:
        raise InvalidRequest(f"No event can have the name {kind!r}: JavaScript cannot read it.")
    if size > MAX_EVENT_BYTES:
        raise InvalidRequest("Events may not be larger than 512 KiB; send large data in a call.")
    if workspace == "*":
        raise PermissionDenied("Permission denied: an event cannot be sent to all workspaces.")
    if workspace != sender.workspace:
        if client_id == "*" or sender.user.level(workspace) < Level.READ_WRITE:
            raise PermissionDenied(f"Permission denied for workspace {workspace}")
    elif client_id == "*" and sender.user.level(workspace) < Level.READ_WRITE:
        raise PermissionDenied(f"Read-only client {sender.client_id} cannot broadcast messages.")
