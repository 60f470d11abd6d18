"""The hub: who is here, and the parts that move frames between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from hypha.auth.users import Context, User
from hypha.errors import LimitReached
from hypha.hub.client import MAX_ALL_PENDING, Client
from hypha.hub.flow import Flow
from hypha.hub.leftovers import Leftovers
from hypha.hub.outbox import Kind
from hypha.hub.pulse import Pulse
from hypha.hub.resume import Resume
from hypha.hub.router import Router
from hypha.hub.shares import Room, Shares
from hypha.hub.stats import HubStats
from hypha.wire.chunks import MessageCaches
from hypha.wire.frames import Sealed, encode

if TYPE_CHECKING:
    from hypha.hub.connection import Connection
    from hypha.hub.local_peer import LocalPeer
    from hypha.hub.server_peer import ServerPeer

MAX_SUBSCRIPTIONS = 1000
MAX_ALL_SUBSCRIPTIONS = Room(free=32, party=50_000, strangers=100_000, total=1_000_000)
MAX_EVENT_NAME = 256


class Membership(Protocol):
    """What the layers above do when clients come and go."""

    def services_end(self, client: Client) -> None:
        """Remove the client's services; called before its callers are told."""

    def client_ended(self, client: Client) -> None:
        """Send the events and release what was kept; called after its callers were told."""

    async def keep_subscriptions(self, client: Client) -> None:
        """Store the client's subscriptions, so that a restart keeps them."""

    def may_call(self, sender: Client, target: Client, method: str) -> bool:
        """Whether a client of another workspace may call `services.<name>…` of a client."""

    def may_follow(self, caller: Context, target: Client, method: str) -> bool:
        """Whether `services.<name>…` is of a registered service that the caller may call itself."""


class Hub:
    """Clients of one server process and the routing between them.

    Args:
        manager_id: id of the server's own endpoint, the same over restarts.
        hold_time_s, window_s: see `Resume`.
        slow_reader_deadline_s, foreign_pause_limit_s, held_limit_bytes: see `Flow`.
        ack_interval_s: least time between two acknowledging PINGs to one client.
    """

    def __init__(
        self,
        manager_id: str,
        *,
        hold_time_s: float = 10.0,
        window_s: float = 90.0,
        slow_reader_deadline_s: float = 20.0,
        foreign_pause_limit_s: float = 2.0,
        held_limit_bytes: int = 32 * 1024 * 1024,
        ack_interval_s: float = 2.0,
    ) -> None:
        self.manager_id = manager_id
        self.loop = asyncio.get_running_loop()
        self.time = self.loop.time
        self.stats = HubStats()
        self.clients: dict[str, Client] = {}
        self.manager: LocalPeer | None = None
        self.inner_peers: dict[str, LocalPeer] = {}
        self.leftovers = Leftovers(self.loop)
        self.unanswered = Shares(MAX_ALL_PENDING)
        self.cache_rooms = MessageCaches(self.leftovers.add)
        self.server_peers: dict[str, ServerPeer] = {}
        self.membership: Membership
        self.gather_turn: Callable[[], None] = lambda: None
        self.on_refused: Callable[[Client, str, str], None] = lambda client, workspace, what: None
        self.pulse = Pulse(self, ack_interval_s)
        self.flow = Flow(self, slow_reader_deadline_s, foreign_pause_limit_s, held_limit_bytes)
        self.resume = Resume(self, hold_time_s, window_s)
        self.router = Router(self)
        self.route = self.router.route
        self._by_workspace: dict[str, set[Client]] = {}
        self._listeners: dict[str, dict[str, set[Client]]] = {}
        self._subscribed = Shares(MAX_ALL_SUBSCRIPTIONS)

    def client(self, workspace: str, client_id: str) -> Client | None:
        """The client with this id, live or held."""
        return self.find(f"{workspace}/{client_id}")

    def find(self, address: str) -> Client | None:
        """The client with this address, live or held; the server's own guest included."""
        client = self.clients.get(address)
        if client is None and (peer := self.server_peers.get(address)) is not None:
            return peer.guest
        return client

    def inner_peer(self, address: str, client_id: str) -> LocalPeer | None:
        """The peer inside the server that answers under this address."""
        return self.server_peers.get(address) or self.inner_peers.get(client_id)

    def caller(self, address: str) -> Client | LocalPeer | None:
        """Who calls from this address: a client, or a peer inside the server."""
        workspace, _, client_id = address.partition("/")
        if workspace == "*":
            return self.manager if client_id == self.manager_id else None
        return self.clients.get(address) or self.inner_peer(address, client_id)

    def peers(self) -> Iterator[LocalPeer]:
        """All peers inside the server."""
        if self.manager is not None:
            yield self.manager
        yield from self.inner_peers.values()
        yield from self.server_peers.values()

    def clients_of(self, workspace: str) -> list[Client]:
        """All clients of a workspace, live and held."""
        return list(self._by_workspace.get(workspace, ()))

    def live_clients(self) -> Iterator[Client]:
        """Clients with a connection."""
        return (client for client in list(self.clients.values()) if client.connection is not None)

    def is_reserved(self, client_id: str) -> bool:
        """True for ids of the server's own peers, which no client may take."""
        return (
            client_id == self.manager_id or client_id.startswith("manager-") or client_id in self.inner_peers
        )

    def join(
        self, workspace: str, client_id: str, user: User, token: str | None, connection: Connection
    ) -> Client:
        """Make a new client and give it its connection; an older one of that id must be gone."""
        client = Client(self, workspace, client_id, user, token)
        self.clients[client.address] = client
        self._by_workspace.setdefault(workspace, set()).add(client)
        self.stats.connections_total += 1
        self.resume.attach(client, connection)
        return client

    def rejoin(self, client: Client, connection: Connection) -> None:
        """Resume a client on a new connection."""
        self.stats.connections_total += 1
        self.resume.attach(client, connection)

    def end(self, client: Client, why: str) -> None:
        """End a client's state now: services go, callers are told, events are sent."""
        self.resume.end(client, why)

    def kick(self, client: Client, code: int, reason: str) -> None:
        """Close a client's link with a code and end its state."""
        connection = client.connection
        if connection is not None:
            connection.send_control({"type": "error", "message": reason})
            connection.close(code, reason)
        self.resume.end(client, reason)

    def forget(self, client: Client) -> None:
        """Drop all that is kept of an ended client (called once, by `membership.client_ended`)."""
        for peer in self.peers():
            peer.unfinished.forget(client)
        self.router.border.parcels.forget(client)
        members = self._by_workspace.get(client.workspace)
        if members is not None:
            members.discard(client)
            if not members:
                del self._by_workspace[client.workspace]
        self._unlisten(client, client.subscriptions)
        client.subscriptions = set()
        for shares in (self._subscribed, self.flow.held, self.unanswered):
            shares.forget(client)

    def subscribe(self, client: Client, names: Iterable[str]) -> None:
        """Deliver broadcasts of these event types to the client from now on."""
        names = set(names)
        if len(client.subscriptions | names) > MAX_SUBSCRIPTIONS:
            raise LimitReached(f"A client may subscribe to at most {MAX_SUBSCRIPTIONS} event types.")
        if any(len(name) > MAX_EVENT_NAME for name in names):
            raise LimitReached(f"Event types may have at most {MAX_EVENT_NAME} characters.")
        fresh = names - client.subscriptions
        if not fresh:
            return
        if not self._subscribed.note(client, len(client.subscriptions) + len(fresh)):
            raise LimitReached("The clients of your user or address subscribe to too many event types.")
        client.subscriptions |= fresh
        listeners = self._listeners.setdefault(client.workspace, {})
        for name in fresh:
            listeners.setdefault(name, set()).add(client)

    def unsubscribe(self, client: Client, names: Iterable[str]) -> None:
        """Stop delivering broadcasts of these event types to the client."""
        gone = client.subscriptions & set(names)
        if gone:
            client.subscriptions -= gone
            self._subscribed.note(client, len(client.subscriptions))
            self._unlisten(client, gone)

    def _unlisten(self, client: Client, names: Iterable[str]) -> None:
        listeners = self._listeners.get(client.workspace)
        if listeners is None:
            return
        for name in names:
            clients = listeners.get(name)
            if clients is not None:
                clients.discard(client)
                if not clients:
                    del listeners[name]
        if not listeners:
            del self._listeners[client.workspace]

    def broadcast(self, workspace: str, kind: str, frame: Sealed, sender: Client | None = None) -> None:
        """Send one packed event to every client of the workspace that subscribed to its type."""
        listeners = self._listeners.get(workspace)
        clients = listeners.get(kind) if listeners else None
        if not clients:
            return
        self.stats.broadcasts += 1
        for client in tuple(clients):
            client.deliver(frame, Kind.EVENT)
            if client.is_choked and sender is not None:
                self.flow.pause(sender, client)

    def publish(self, workspace: str, kind: str, data: Any) -> None:
        """Send an event of the server to a workspace (docs/spec/wire-protocol.md#events)."""
        listeners = self._listeners.get(workspace)
        if listeners and kind in listeners:
            self.broadcast(workspace, kind, encode({"type": kind, "to": "*", "data": data}))

    def tell(self, client: Client, message: dict[str, Any]) -> None:
        """Send one event of the server to one client."""
        client.deliver(encode(message), Kind.EVENT)
