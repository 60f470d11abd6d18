"""Frames that cross from one replica to another: how they leave, and what becomes of them here.

The replica of the sender checks what may pass and stamps it with the sender's identity; that of the receiver
checks once more whether its service may be called, as it alone surely knows. A client is introduced to
another replica before its first frame goes there, and again when it acts with other rights.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgpack

from hypha.bus.base import Bus, Target
from hypha.errors import HyphaError, MalformedFrame, NotDelivered, OutcomeUnknown
from hypha.hub.border import refusal_of
from hypha.hub.client import Client
from hypha.hub.outbox import REPEATABLE_METHODS, Caller, CallKey, Kind, PendingCall
from hypha.hub.refusals import absent
from hypha.hub.router import DEFAULT_INTERVAL_S
from hypha.hub.unfinished import UnfinishedMessages
from hypha.limits import BoundedMap
from hypha.presence.entries import ClientEntry
from hypha.replicas.mirrors import MirrorLink, Mirrors, target_of
from hypha.replicas.packed import pack_user
from hypha.replicas.relays import Relay, SharedManager
from hypha.wire.frames import EnvelopeParser, Frame, join_frame, payload, read_envelope

if TYPE_CHECKING:
    from hypha.auth.users import User
    from hypha.hub.connection import Connection
    from hypha.hub.hub import Hub
    from hypha.hub.service_peer import ServicePeer

logger = logging.getLogger(__name__)

_CLIENT, _LEFT, _FRAME, _REJECTED, _CLOSE = "client", "left", "frame", "rejected", "close"
_LISTENS, _READ = "listens", "read"
_ERRORS: Mapping[str, type[HyphaError]] = {error.code: error for error in (NotDelivered, OutcomeUnknown)}
ANYWHERE = "*"
MOST_LISTENED = 1000
"""Clients that move here at the same time, whose subscriptions come before them."""


class Crossing:
    """Sends frames of this replica to others, and takes theirs (the bus's `Receiver`)."""

    def __init__(
        self, hub: Hub, manager: ServicePeer, on_listens: Callable[[Client, list[str]], None]
    ) -> None:
        self.mirrors = Mirrors(hub, self._send, self._close, self._read)
        self.stays: dict[str, int] = {}
        """The clients of this replica that others know: the generation of their stay, by address."""
        self._hub = hub
        self._on_listens = on_listens
        self._manager = SharedManager(manager)
        hub.peers.add_manager(self._manager)
        self._relays: dict[tuple[str, str], Relay] = {}
        """Peers of other replicas' servers, by replica and address without the workspace of the callee."""
        self._introduced: dict[str, dict[str, User]] = {}
        """By address of a client here: to which replicas it was introduced, as whom."""
        self._listened: BoundedMap[str, tuple[int, list[str]]] = BoundedMap(MOST_LISTENED)
        """To what clients listened that are about to join here, and in which stay; by address."""
        self._paused: dict[tuple[str, str], list[Connection]] = {}
        """Links that are not read because a receiver elsewhere is full, by its replica and their client."""
        self._parse = EnvelopeParser().parse
        self.handlers: dict[str, Callable[[bytes], None]] = {}
        """What is done with what other replicas tell beside frames, by its kind."""
        self._bus: Bus | None = None

    def use(self, bus: Bus) -> None:
        """Send over this bus from now on."""
        self._bus = bus

    def begin_anew(self) -> None:
        """The others took this replica for gone: they know none of its clients any more."""
        self.stays.clear()
        self._introduced.clear()

    @property
    def bus(self) -> Bus:
        """The bus, which is there before any frame."""
        assert self._bus is not None
        return self._bus

    # -- leaving

    def _send(self, target: Target, frame: Frame, key: CallKey | None, kind: int) -> None:
        """Send a frame to a client elsewhere."""
        caller = key[0] if key is not None else self._sender_of(frame, kind)
        if isinstance(caller, Client):
            self._introduce(caller, target.replica)
        label = b"" if key is None else msgpack.packb([key[0].address, key[1]])
        self.bus.send(target, bytes(payload(frame)), label)

    def _sender_of(self, frame: Frame, kind: int) -> Client | None:
        """Whose frame it is; of an answer that needs not be known, as its callee was called before."""
        if kind == Kind.ANSWER:
            return None
        main, _ = read_envelope(payload(frame))
        return self._hub.clients.find(str(main.get("from")))

    def _introduce(self, client: Client, replica: str) -> None:
        known = self._introduced.setdefault(client.address, {})
        if known.get(replica) is not client.user:
            known[replica] = client.user
            place = client.workspace, client.client_id, self.stays.get(client.address, 0)
            self.bus.tell(replica, _CLIENT, msgpack.packb([*place, pack_user(client.user)]))

    def left(self, address: str, generation: int) -> None:
        """A client of this replica has ended: those to which it was introduced forget it."""
        workspace, _, client_id = address.partition("/")
        for replica in self._introduced.pop(address, {}):
            self.bus.tell(replica, _LEFT, msgpack.packb([workspace, client_id, generation]))

    def hand_over(self, client: Client, entry: ClientEntry) -> None:
        """A client of this replica goes on at another one: so does what waits for it, and who called it."""
        now, outbox, calls = self._hub.time(), client.outbox, client.pending
        waiting = list(outbox.entries)[outbox.written - outbox.base :]
        names = sorted(client.subscriptions)
        client.pending = {}
        self._hub.release(client)
        mirror = self.mirrors.put(entry)
        place = entry.workspace, entry.client_id, entry.generation
        self.bus.tell(entry.replica, _LISTENS, msgpack.packb([*place, names]))
        for frame, kind, key in waiting:
            _, _, interval_s = calls.pop(key, (0, now, DEFAULT_INTERVAL_S))
            mirror.deliver(frame, kind, key, interval_s)
        for key, (_, since, interval_s) in calls.items():
            mirror.pending[key] = (-1, since, interval_s)
        self.mirrors.doubt(mirror)

    def take_over(self, client: Client, calls: dict[CallKey, PendingCall]) -> None:
        """A client has moved here that was called from here: it may still answer."""
        listened = self._listened.pop(client.address)
        if listened is not None and listened[0] == self.stays.get(client.address):
            self._on_listens(client, listened[1])
        number = client.outbox.end - 1
        for key, (_, since, interval_s) in calls.items():
            client.pending[key] = (number, since, interval_s)
        self.mirrors.doubt(client)

    def _close(self, target: Target, code: int, reason: str) -> None:
        place = target.workspace, target.client_id, target.generation
        self.bus.tell(target.replica, _CLOSE, msgpack.packb([*place, code, reason]))

    def _read(self, target: Target, is_read: bool) -> None:
        place = target.workspace, target.client_id, target.generation
        self.bus.tell(target.replica, _READ, msgpack.packb([*place, is_read]))

    def _give(self, replica: str, sender: Client, frame: Frame) -> None:
        """Send a frame of a client here to a peer of another replica's server."""
        self._introduce(sender, replica)
        self.bus.tell(replica, _FRAME, bytes(payload(frame)))

    def _reject(self, replica: str, peer: str, session: str, source: str, error: HyphaError) -> None:
        body = [peer, session, source, error.code, error.message]
        self.bus.tell(replica, _REJECTED, msgpack.packb(body))

    # -- arriving

    def frame(self, sender: str, target: Target, frame: bytes) -> bool:
        """See `Receiver`."""
        address = f"{target.workspace}/{target.client_id}"
        client = self._hub.clients.get(address)
        if client is None or client.is_mirror or self.stays.get(address) != target.generation:
            return False
        try:
            main, _, interval_s = self._parse(frame)
            self._arrive(sender, client, main, join_frame(frame), interval_s or DEFAULT_INTERVAL_S)
        except MalformedFrame as error:
            logger.warning("A frame of the replica %s cannot be read: %s", sender, error)
        return True

    def _arrive(
        self, replica: str, client: Client, main: dict[str, Any], frame: Frame, interval_s: float
    ) -> None:
        """Do with a frame what the router does with those of clients here, but for what was done there."""
        method, session = str(main.get("method")), main.get("session")
        if main.get("type") != "method":
            client.deliver(frame, Kind.EVENT)
            return
        caller = self._caller(replica, str(main.get("from")))
        name = method.partition(".")[2]
        if not method.startswith("services.") and name in ("resolve", "reject", "heartbeat"):
            self._note_answer(caller, client, method.partition(".")[0], name)
            client.deliver(frame, Kind.ANSWER)
        elif self._may_pass(caller, client, method, session):
            kind = Kind.REPEATABLE if method in REPEATABLE_METHODS else Kind.CALL
            client.calls += 1
            key = (caller, str(session)) if session is not None else None
            client.deliver(frame, Kind.EVENT if key is None else kind, key, interval_s)
        if client.pressure is not None and isinstance(caller, Client):
            self._hub.flow.pause(caller, client)

    def _may_pass(self, caller: Caller, client: Client, method: str, session: object) -> bool:
        """Whether a call may be passed on to a client here; if not, its caller is told."""
        error: HyphaError | None = None
        if client.fails_fast and not client.takes(method):
            error = absent(client.address)
        elif (
            isinstance(caller, Client) and method.startswith("services.") and caller.realm != client.workspace
        ):
            error = refusal_of(self._hub.upcalls, caller, client, method)
        if error is not None and session is not None:
            caller.reject(str(session), client.address, error)
        return error is None

    def _note_answer(self, sender: Caller, client: Client, session: str, name: str) -> None:
        """A client elsewhere has answered a call of one here, or is still at work on it."""
        if not isinstance(sender, Client):
            return
        key = (client, session)
        sender.doubts.pop(key, None)
        if name != "heartbeat":
            sender.pending.pop(key, None)
        elif (call := sender.pending.get(key)) is not None:
            sender.pending[key] = (call[0], self._hub.time(), call[2])

    def _caller(self, replica: str, address: str) -> Caller:
        """Who has sent a frame from another replica: a client, or a peer of the server there."""
        return self._hub.clients.get(address) or self._relay(replica, address)

    def _relay(self, replica: str, address: str) -> Relay:
        """The peer of another replica's server at this address, reached by clients here from now on."""
        workspace, _, peer_id = address.partition("/")
        is_manager = workspace == ANYWHERE
        is_everywhere = peer_id.startswith("http-")
        key = replica, peer_id if is_manager or is_everywhere else address
        relay = self._relays.get(key)
        if relay is None:
            unfinished = UnfinishedMessages(self._hub.cache_rooms)
            relay = self._relays[key] = Relay(replica, address, self._give, self._reject, unfinished)
            if is_manager:
                self._manager.relays[replica] = relay
            elif is_everywhere:
                self._hub.peers.add_everywhere(peer_id, relay)
            else:
                self._hub.peers.add(relay)
        return relay

    def refused(self, target: Target, label: bytes) -> None:
        """See `Receiver`."""
        mirror = self._hub.clients.mirror(f"{target.workspace}/{target.client_id}")
        if mirror is not None and label:
            self.mirrors.refused(mirror, *msgpack.unpackb(label))

    def event(self, workspace: str, kind: str, frame: bytes) -> None:
        """See `Receiver`."""
        self._hub.events.spread(workspace, kind, join_frame(frame))

    # -- what others tell

    def told(self, replica: str, kind: str, body: bytes) -> None:
        """See `Receiver`."""
        if kind == _FRAME:
            self._take(body)
            return
        handler = self.handlers.get(kind)
        if handler is not None:
            handler(body)
            return
        parts = msgpack.unpackb(body)
        if kind == _CLIENT:
            workspace, client_id, generation, facts = parts
            if f"{workspace}/{client_id}" not in self.stays:
                entry = ClientEntry(
                    workspace, client_id, "", facts=facts, replica=replica, generation=generation
                )
                self.mirrors.put(entry)
        elif kind == _LEFT:
            self._forget(replica, *parts)
        elif kind == _REJECTED:
            self._end_call(*parts)
        elif kind == _CLOSE:
            self._close_here(*parts)
        elif kind == _LISTENS:
            self._listens(*parts)
        elif kind == _READ:
            self._read_here(replica, *parts)

    def _listens(self, workspace: str, client_id: str, generation: int, names: list[str]) -> None:
        """A client has moved here, and listened to events where it was."""
        address = f"{workspace}/{client_id}"
        client = self._hub.clients.get(address)
        if client is not None and not client.is_mirror and self.stays.get(address) == generation:
            self._on_listens(client, names)
        else:  # it is about to join
            self._listened.put(address, (generation, names))

    def _take(self, frame: bytes) -> None:
        """A client elsewhere has sent something to a peer of the server here."""
        try:
            main, head, _ = self._parse(frame)
        except MalformedFrame:
            logger.warning("A frame of another replica cannot be read")
            return
        sender, to = self._hub.clients.mirror(str(main.get("from"))), str(main.get("to"))
        workspace, _, client_id = to.partition("/")
        peer = self._hub.peers.at(workspace, client_id, to)
        if sender is not None and peer is not None and not isinstance(peer, Relay):
            peer.receive(sender, main, frame, head)

    def _forget(self, replica: str, workspace: str, client_id: str, generation: int) -> None:
        mirror = self._hub.clients.mirror(f"{workspace}/{client_id}")
        if mirror is not None and target_of(mirror).generation == generation:
            self.mirrors.end(mirror)

    def _end_call(self, address: str, session: str, source: str, code: str, text: str) -> None:
        """A call that a peer of the server here made has ended without an answer."""
        workspace, _, client_id = address.partition("/")
        peer = self._hub.peers.at(workspace, client_id, address)
        if peer is not None and not isinstance(peer, Relay):
            peer.calls.reject(session, source, _ERRORS.get(code, NotDelivered)(text))

    def _close_here(self, workspace: str, client_id: str, generation: int, code: int, reason: str) -> None:
        """Somebody elsewhere has ended a client of this replica."""
        address = f"{workspace}/{client_id}"
        client = self._hub.clients.get(address)
        if client is not None and not client.is_mirror and self.stays.get(address) == generation:
            self._hub.kick(client, code, reason)

    # -- replicas that do not keep up, or end

    def _read_here(
        self, replica: str, workspace: str, client_id: str, generation: int, is_read: bool
    ) -> None:
        """A receiver at another replica is full, or has drained: a client here is read no more, or again."""
        address = f"{workspace}/{client_id}"
        paused = self._paused.setdefault((replica, address), [])
        client = self._hub.clients.get(address)
        is_here = self.stays.get(address) == generation and client is not None
        link = client.connection if client is not None and is_here else None
        if is_read and paused:
            paused.pop().resume_reading()
        elif not is_read and link is not None:
            link.pause_reading()
            paused.append(link)
        if not paused:
            del self._paused[replica, address]

    def _read_all(self, replica: str) -> None:
        """Nothing more is heard of receivers there."""
        for key in [key for key in self._paused if key[0] == replica]:
            for link in self._paused.pop(key):
                link.resume_reading()

    def full(self, replica: str) -> None:
        """See `Receiver`."""
        self.mirrors.full.add(replica)
        self._mark(replica, is_full=True)

    def drained(self, replica: str) -> None:
        """See `Receiver`."""
        self.mirrors.full.discard(replica)
        self._mark(replica, is_full=False)

    def _mark(self, replica: str, *, is_full: bool) -> None:
        flow = self._hub.flow
        for mirror in self.mirrors.of_replica(replica):
            link = mirror.connection
            if isinstance(link, MirrorLink):
                link.is_full = is_full
            (flow.choke if is_full else flow.drained)(mirror)

    def broken(self, replica: str) -> None:
        """See `Receiver`."""
        self._read_all(replica)
        for mirror in self.mirrors.of_replica(replica):
            self.mirrors.tell_unknown(mirror)

    def ended(self, replica: str) -> None:
        """A replica is gone, with all that was there."""
        self._read_all(replica)
        for mirror in self.mirrors.of_replica(replica):
            self.mirrors.end(mirror)
        for key in [key for key in self._relays if key[0] == replica]:
            self._hub.peers.remove(self._relays.pop(key))
        self._manager.relays.pop(replica, None)
        for known in self._introduced.values():
            known.pop(replica, None)
