"""From a first message to a client of the hub; the same for every transport.

See docs/spec/wire-protocol.md#first-message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self

from hypha.addresses import check_client_id
from hypha.auth.blocklist import Blocked
from hypha.auth.guard import Guard
from hypha.auth.scopes import Level
from hypha.auth.tokens import EXPIRED_TEXT
from hypha.errors import (
    AlreadyExists,
    BackendUnavailable,
    HyphaError,
    InvalidAddress,
    NotAuthenticated,
    NotDelivered,
    PermissionDenied,
)
from hypha.hub.connection import LinkKind
from hypha.hub.rates import Rates
from hypha.ids import random_id
from hypha.limits import Places
from hypha.networks import throttled
from hypha.transports.departures import Departures
from hypha.transports.gather import Gather
from hypha.transports.ratelimit import FrameRate
from hypha.transports.sockets import Sockets
from hypha.wire.handshake import Busy, FirstMessage, Refused

if TYPE_CHECKING:
    from hypha.auth.tokens import TokenAuthority
    from hypha.auth.users import User
    from hypha.hub.client import Client
    from hypha.hub.connection import Connection
    from hypha.hub.hub import Hub
    from hypha.settings import Settings
    from hypha.workspaces.admission import Admission, Identity
    from hypha.workspaces.membership import Members

BUSY = "Server busy, please retry"
RECENTLY_ALIVE_S = 1.0
PREFIX = "Failed to establish connection: "
Ping = Callable[[str, float], Awaitable[None]]
"""Asks a client, by its address, for a sign of life within so many seconds; HyphaError: there was none."""


class Stays(Protocol):
    """Who has which client id in the whole deployment."""

    async def expect(self, workspace: str) -> None:
        """A client is about to come to a workspace: let the hub know those that others have in it."""

    async def enter(
        self, workspace: str, client_id: str, user: User, over: Client | None, *, moves: bool
    ) -> bool:
        """Have a client's id, in place of that client of another replica; False if another one got it.

        It `moves` if it is the very client, which keeps what it has.
        """


RESERVED_ID = f"{PREFIX}Invalid client id: this id is reserved for the server."


@dataclass(frozen=True, slots=True)
class ReceptionLimits:
    """Bounds on handshakes and connections."""

    handshakes: int
    """Of newcomers whose credential, if they have one, wasn't looked at yet; as many may go on beside them
    with a valid one."""
    handshakes_per_address: int
    """Of these from one address, and beside them of one user."""
    connections_per_user: int
    clients_per_workspace: int
    handshake_timeout_s: float
    """How long the first message may take to come."""
    frame_bytes: int
    """The size of one frame."""
    ping_timeout_s: float = 5.0
    """How long a live client has to prove it when a newcomer wants its id."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """What the operator has set."""
        return cls(
            settings.max_concurrent_connections,
            settings.max_handshakes_per_address,
            settings.max_connections_per_user,
            settings.max_clients_per_workspace,
            settings.handshake_timeout_s,
            settings.max_frame_bytes,
        )


class Reception:
    """Admits connections: identity, limits, duplicate ids, then the hub.

    Args:
        facts: the part of `connection_info` that is the same for everybody.
        is_accepting: False while the server starts or stops.
        guard: who is kept out, and where refusals are noted.
        rates: limits that all connections of a user or workspace share.
        sockets: who has how many of them.
        stays: of the other replicas; None where there are none.
        ping: asks the holder of an id that a newcomer wants whether it is there.
    """

    def __init__(
        self,
        hub: Hub,
        admission: Admission,
        tokens: TokenAuthority,
        members: Members,
        facts: Mapping[str, Any],
        limits: ReceptionLimits,
        is_accepting: Callable[[], bool],
        guard: Guard,
        rates: Rates,
        sockets: Sockets,
        ping: Ping,
        stays: Stays | None = None,
    ) -> None:
        self.hub = hub
        self.admission = admission
        self.tokens = tokens
        self.members = members
        self.facts = dict(facts)
        self.limits = limits
        self.is_accepting = is_accepting
        self.guard = guard
        self.rates = rates
        self.sockets = sockets
        self._ping = ping
        self._stays = stays
        places = limits.handshakes, limits.handshakes_per_address
        self.newcomers: Places[Connection] = Places(*places, _turn_away, hub.time)
        """Handshakes of links of which only the address is known."""
        self.identified: Places[Connection] = Places(*places, _turn_away, hub.time)
        """Handshakes of links that have shown a valid credential."""
        self.gather = Gather()
        """Writes what one read makes for one receiver together; shared by all links."""
        hub.upcalls.gather_turn = partial(self.gather.begin_turn, hub.clock)
        self.departures = Departures()
        """Closes the sockets of clients that hung up; shared by all links."""

    def is_busy_for(self, peer_address: str) -> bool:
        """True when no handshake from there may begin now; refuse it before the upgrade, with 503."""
        return not self.is_accepting() or not self.newcomers.has_room(throttled(peer_address))

    def enter(self, connection: Connection, *, silent: bool) -> bool:
        """Begin the handshake of a newcomer; False if there is no place for it.

        One that is `silent` has to send its first message yet. The silent one of the address with most
        of them gives way to a newcomer, so that no other is kept out.
        """
        party = throttled(connection.peer_address)
        return self.is_accepting() and self.newcomers.enter(connection, party, idle=silent)

    def leave(self, connection: Connection) -> None:
        """The handshake of a newcomer is over."""
        self.newcomers.leave(connection)
        self.identified.leave(connection)

    def gone(self, connection: Connection) -> None:
        """A connection has ended, in its handshake or later."""
        self.leave(connection)
        self.sockets.closed(connection)

    async def admit(self, first: FirstMessage, connection: Connection) -> Client:
        """Identify a newcomer and give it to the hub.

        Raises:
            Refused: with the close code and text that the client gets.
            Busy: not now; closed without a text, so that the client tries again.
        """
        try:
            identity = await self._identify(first)
            self._reserve(connection, identity, first)
            self.guard.blocklist.check(identity.user, connection.peer_address)
            self._check_not_removed(identity.user)
        except Refused as error:
            self._note_refused(error, first, connection)
            raise
        except Blocked as error:
            raise Refused(error.message, 1008, kind=PermissionDenied) from None
        hub = self.hub
        address = f"{identity.workspace}/{identity.client_id}"
        await self._prepare(identity.workspace)
        present = hub.clients.get(address)
        is_back = present is not None and identity.resumes and _is_same(present.user, identity.user)
        if present is not None and is_back and not present.is_mirror:
            self._take_place(identity, connection)
            hub.rejoin(present, connection)
            return present
        if present is not None and is_back:
            pass  # it moves here
        elif present is not None and _is_second_stream(identity, connection, present):
            hub.end(present, "a second stream of its user took its id")
        elif present is not None:
            await self._make_room(present, identity)
        if identity.user.is_lapsed:
            raise Refused(EXPIRED_TEXT, 1008, kind=NotAuthenticated)
        self._check_limits(identity)
        self._take_place(identity, connection)
        user = identity.user if identity.resumes else replace(identity.user, incarnation=random_id(8))
        await self._enter(identity, user, present, moves=is_back)
        client = hub.join(identity.workspace, identity.client_id, user, first.token, connection)
        self.members.joined(client, restore=identity.resumes)
        if first.token is not None and not identity.resumes:
            self.guard.note_connected(identity.user, identity.workspace, connection.peer_address)
        return client

    async def _prepare(self, workspace: str) -> None:
        """Know who else is in the workspace."""
        if self._stays is not None:
            try:
                await self._stays.expect(workspace)
            except BackendUnavailable as error:
                raise Busy(error.message) from None

    async def _enter(self, identity: Identity, user: User, present: Client | None, *, moves: bool) -> None:
        """Have the id among all replicas, in place of a client of another one if that was present."""
        if self._stays is None:
            return
        over = present if present is not None and present.is_mirror else None
        try:
            place = identity.workspace, identity.client_id
            is_in = await self._stays.enter(*place, user, over, moves=moves)
        except BackendUnavailable as error:
            raise Busy(error.message) from None
        if not is_in:
            raise Busy("another client came with this id at the same time")

    def _reserve(self, connection: Connection, identity: Identity, first: FirstMessage) -> None:
        """Who has shown a valid credential goes on in a place that strangers cannot take."""
        if first.token is None and first.reconnection_token is None:
            return
        self.newcomers.leave(connection)
        if not self.identified.enter(connection, identity.user.id):
            raise Busy(f"{identity.user.id} has too many handshakes in progress")

    def _take_place(self, identity: Identity, connection: Connection) -> None:
        """Count the connection for its user, or an anonymous one for its address."""
        user = identity.user
        if not self.sockets.admit(connection, user.id, is_anonymous=user.is_anonymous):
            whose = "anonymous users of your network have" if user.is_anonymous else f"user {user.id} has"
            raise Refused(
                f"Connection limit exceeded: {whose} too many connections; sign in, or close some",
                1008,
                kind=PermissionDenied,
            )

    def _note_refused(self, error: Refused, first: FirstMessage, connection: Connection) -> None:
        self.guard.audit.note(
            "access_refused",
            error.user_id,
            first.workspace or "",
            address=connection.peer_address,
            detail={"reason": error.message},
            is_stranger=error.is_stranger,
        )

    async def _identify(self, first: FirstMessage) -> Identity:
        try:
            check_client_id(first.client_id)
        except InvalidAddress as error:
            raise Refused(f"{PREFIX}{error.message}") from None
        if self.hub.peers.is_reserved(first.client_id):
            raise Refused(RESERVED_ID)
        try:
            identity = await self.admission.identify(first)
        except Refused:
            raise
        except NotAuthenticated as error:
            raise Refused(f"Authentication error: {error.message}", 1008, kind=NotAuthenticated) from None
        except BackendUnavailable as error:
            raise Busy(error.message) from None
        except PermissionDenied as error:
            raise Refused(f"{PREFIX}{error.message}", kind=PermissionDenied) from None
        except HyphaError as error:
            raise Refused(f"{PREFIX}{error.message}") from None
        if self.hub.peers.is_taken(f"{identity.workspace}/{identity.client_id}"):
            raise Refused(RESERVED_ID)
        return identity

    def _check_not_removed(self, user: User) -> None:
        """Once more, for it may have happened while the workspace was read."""
        try:
            self.tokens.check_not_removed(user)
        except NotAuthenticated as error:
            raise Refused(error.message, 1008, kind=NotAuthenticated) from None

    async def _make_room(self, present: Client, identity: Identity) -> None:
        """A new client wants an id that is taken: only a dead or held one gives way, to whom it may.

        A client that comes back too late, after a successor took its id, does not end the successor's state
        while that is held: it may try again, and is refused for good once the successor is seen alive.
        """
        if identity.resumes and present.is_held:
            raise Busy(f"{present.address} belongs to a newer client, which is reconnecting")
        if present.is_live and await self._answers(present):
            raise Refused(
                f"{PREFIX}Client already exists and is active: {present.address}", kind=AlreadyExists
            )
        if not _may_succeed(identity, present):
            raise Refused(
                f"{PREFIX}Client already exists and may come back: {present.address} belongs to somebody "
                "else",
                kind=AlreadyExists,
            )
        if not present.is_mirror:  # its replica ends it
            self.hub.end(present, "a new client took its id")

    async def _answers(self, present: Client) -> bool:
        last_sign = max(present.last_received, present.last_alive)
        if not present.is_mirror and self.hub.time() - last_sign < RECENTLY_ALIVE_S:
            return True
        try:
            await self._ping(present.address, self.limits.ping_timeout_s)
        except NotDelivered:
            return False
        except HyphaError:
            return (
                self.hub.time() - max(present.last_received, present.last_alive) < self.limits.ping_timeout_s
            )
        return True

    def _check_limits(self, identity: Identity) -> None:
        address = f"{identity.workspace}/{identity.client_id}"
        present = self.hub.clients.get(address)
        if present is not None and not present.is_mirror:
            raise Refused(f"{PREFIX}Client already exists and is active: {address}", kind=AlreadyExists)
        user, workspace, members = identity.user, identity.workspace, self.members
        count, limit = members.connections_of(user.id), self.limits.connections_per_user
        if count >= limit and not self._replaces_held(members.clients_of(user.id)):
            raise Refused(
                f"Connection limit exceeded: user {user.id} has {count}/{limit} connections",
                1008,
                kind=PermissionDenied,
            )
        count, limit = members.clients_in(workspace), self.limits.clients_per_workspace
        giving_way = (client for client in self.hub.clients.of(workspace) if _may_end(user, client))
        if count >= limit and not self._replaces_held(giving_way):
            raise Refused(
                f"Connection limit exceeded: workspace {workspace} has {count}/{limit} clients",
                1008,
                kind=PermissionDenied,
            )

    def _replaces_held(self, clients: Iterable[Client]) -> bool:
        """End the client that has been away longest, so that a live newcomer takes its place."""
        away = [(client.hold.since, client) for client in clients if client.hold is not None]
        if away:
            _, longest = min(away, key=lambda entry: entry[0])
            self.hub.end(longest, "a live client needed its place")
        return bool(away)

    def rate_of(self, client: Client, own: FrameRate | None) -> FrameRate | None:
        """What limits the frames of a connection: its own rate and those of its user and workspace."""
        shared = self.rates.meters_of(client.user.id, client.workspace)
        if shared is None:
            return own
        return FrameRate(shared, self.hub.clock) if own is None else own.with_shared(shared)

    def connection_info(self, client: Client) -> dict[str, Any]:
        """The first message to an admitted client (docs/spec/wire-protocol.md#connection-info)."""
        return {
            "type": "connection_info",
            **self.facts,
            "workspace": client.workspace,
            "client_id": client.client_id,
            "user": client.stamp.user,
            "reconnection_token": self.reconnection_token(client),
            "reconnection_token_life_time": self.tokens.reconnection_life_s,
        }

    def reconnection_token(self, client: Client) -> str:
        """A fresh token with which the client can come back."""
        return self.tokens.mint_reconnection(client.user, client.workspace, client.client_id)


def _turn_away(connection: Connection) -> None:
    """A silent newcomer gives up its place; it may try again."""
    connection.close(1013, BUSY)


def _is_second_stream(identity: Identity, connection: Connection, present: Client) -> bool:
    """The second HTTP stream of a user who may manage the workspace ends the first.

    See docs/spec/wire-protocol.md#http-streams.
    """
    return (
        not identity.resumes
        and connection.kind == present.connection_type == LinkKind.HTTP_STREAM
        and identity.user.id == present.user.id
        and identity.user.level(identity.workspace) >= Level.ADMIN
    )


def _may_succeed(identity: Identity, present: Client) -> bool:
    """Whether a newcomer may end the state of a client that is away: its services, and what waits for it.

    Its own user may, who has a token for this very id, and who may remove clients of the workspace.
    """
    user = identity.user
    return user.granted.client_id == identity.client_id or _may_end(user, present)


def _may_end(user: User, present: Client) -> bool:
    """Whether a client of this user, or of whom may remove clients there, is to give way."""
    return user.id == present.user.id or user.level(present.workspace) >= Level.ADMIN


def _is_same(present: User, newcomer: User) -> bool:
    """True when a reconnection token is that of the very program that holds the id, not of a forerunner."""
    return present.id == newcomer.id and present.incarnation == newcomer.incarnation
