"""One client of the hub: its identity, where it is in its life, what is on its way to it and owed by it.

All that changes its state stands here, under "Its life"; what follows from a change is done by `Resume`
and `Ending`. See "Life of a client" in ARCHITECTURE.md.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Any

from hypha.auth.users import Context, User
from hypha.errors import HyphaError, ServerFault
from hypha.hub.connection import LinkKind
from hypha.hub.outbox import PING_BYTES, CallKey, Kind, Outbox, PendingCall
from hypha.hub.refusals import reject_frame
from hypha.hub.shares import Room, Shares
from hypha.wire.frames import Frame, Stamp, encode

if TYPE_CHECKING:
    from hypha.hub.connection import Connection

MAX_PENDING_CALLS = 50_000
FEW_PENDING_CALLS = 1000
MAX_ALL_PENDING = Room(free=FEW_PENDING_CALLS, party=200_000, strangers=200_000, total=1_000_000)
_PENDING_STEP = 250
"""Pending calls are counted together in such steps: each of them is on the way of a frame."""
NOWHERE = ""
STRANGERS = "ws-anonymous"
BUILT_IN = "services.built-in."
"""What comes in many parts, answers too, comes by functions of this service."""
MEASURED_SUFFIX = "__rlb"
"""Client ids that end so ask for their load to be measured (docs/spec/manager.md#modes)."""
FLAP_LIFE_S = 5.0
"""A link that lived shorter is a flap (docs/spec/reconnecting.md#facts)."""
_CALL, _EVENT = int(Kind.CALL), int(Kind.EVENT)


class State(Enum):
    """Where a client is in its life."""

    NEW = "new"
    """It is being made."""
    OPENING = "opening"
    """It has a link; frames wait until it has sent one."""
    OPEN = "open"
    """Frames are written at once."""
    HELD = "held"
    """It is between two links; calls wait for it."""
    FAILING_FAST = "failing fast"
    """It has been away for long: calls are refused, the rest is kept."""
    ENDED = "ended"
    """It is forgotten by all."""


NEXT: Mapping[State, frozenset[State]] = {
    State.NEW: frozenset({State.OPENING}),
    State.OPENING: frozenset({State.OPENING, State.OPEN, State.HELD, State.ENDED}),
    State.OPEN: frozenset({State.OPENING, State.HELD, State.ENDED}),
    State.HELD: frozenset({State.OPENING, State.FAILING_FAST, State.ENDED}),
    State.FAILING_FAST: frozenset({State.OPENING, State.ENDED}),
    State.ENDED: frozenset(),
}
"""What may follow what; from a state with a link to `OPENING`: a newer link takes over."""


@dataclass(frozen=True, slots=True)
class ClientPorts:
    """What all clients of a hub share."""

    time: Callable[[], float]
    """Loop time (s)."""
    frame_waits: Callable[[Client], None]
    """A frame was kept for a client whose link is not open."""
    unacknowledged: Callable[[Client], None]
    """A frame was written to a client, and is kept until it is known to have arrived."""
    unanswered: Shares
    """How many calls clients owe answers to, together."""


@dataclass(slots=True)
class Hold:
    """A client between two links."""

    link: Connection
    """The one that it lost."""
    since: float
    """When it lost it (s, loop time)."""
    calls_until: float = math.inf
    """How long calls wait for it (s, loop time); then it fails fast. Set by `Resume`."""
    ends_at: float = math.inf
    """When its state ends, unless it is back (s, loop time). Set by `Resume`."""
    look_at: float = -math.inf
    """When the calls that wait for it are looked at next (s, loop time); `Waiting` plans it."""
    look_from: float = -math.inf
    """Before when they are not, however soon a caller's patience ends (s, loop time)."""


@dataclass(slots=True)
class Pressure:
    """Too much waits for a client: those who send to it are not read meanwhile (`Flow`)."""

    since: float
    """When it became so (s, loop time)."""
    level: int
    """What waited when it was looked at last (bytes)."""
    drained_at: float
    """When something was last seen to have drained (s, loop time)."""
    feeders: set[Client] = field(default_factory=set)
    """Who is paused because of it."""


class Client:
    """A client, `workspace/client_id`, live or held: it outlives its links and resumes on new ones."""

    __slots__ = (
        "address",
        "calls",
        "calls_seen",
        "client_id",
        "connected_at",
        "connection",
        "doubts",
        "fails_fast",
        "flaps",
        "generation",
        "hold",
        "is_mirror",
        "is_open",
        "is_outsider",
        "is_retired",
        "last_alive",
        "last_received",
        "load",
        "load_at",
        "noticed",
        "outbox",
        "paused_by",
        "pending",
        "ports",
        "pressure",
        "realm",
        "rights",
        "stamp",
        "state",
        "subscriptions",
        "token",
        "user",
        "workspace",
    )  # fmt: skip

    ports: ClientPorts
    """What it needs of the hub."""
    workspace: str
    """Where it is, for good."""
    client_id: str
    """Its name there."""
    address: str
    """Both together, as frames name it."""
    token: str | None
    """The credential with which it came first, if any."""

    is_mirror: bool
    """True for one at another replica, where goes what is sent to it (`hypha/replicas/mirrors.py`)."""

    user: User
    """Who it is, with its rights; this and the next four are changed by `act_as`."""
    is_outsider: bool
    """True for anonymous users of a server that serves none."""
    realm: str
    """The workspace whose services it may call unasked."""
    rights: str
    """One object for all clients that may do the same."""
    stamp: Stamp
    """Its identity, as it goes on its frames."""

    state: State
    """Where it is in its life; this and the next six are changed under "Its life" alone."""
    is_open: bool
    """`state is OPEN`, for the way of a frame."""
    fails_fast: bool
    """`state is FAILING_FAST or is_retired`, for the way of a frame: not all of them are passed on."""
    is_retired: bool
    """It is about to stop: calls of its services are refused, see `takes`."""
    connection: Connection | None
    """Its link while it is opening or open."""
    hold: Hold | None
    """While it is held or fails fast."""
    generation: int
    """Counts its links: who cleans up after one compares it first."""
    flaps: int
    """Links in a row that lived shorter than `FLAP_LIFE_S`."""
    connected_at: float
    """When it got its present or last link (s, loop time); set there, too."""
    last_received: float
    """When its link last took something of it (s, loop time); kept by the link."""
    last_alive: float
    """When its link last saw a PONG of it (s, loop time); kept by the link."""

    outbox: Outbox
    """What is on its way to it; kept by `Acknowledgement`, `Resume` and `Waiting`."""
    pending: dict[CallKey, PendingCall]
    """Calls passed on to it, or waiting for it, that it has not answered; the router sees the answers."""
    doubts: dict[CallKey, float]
    """Of these, whose outcome is open since its link broke: until when it may answer (s, loop time)."""
    subscriptions: set[str]
    """Types of the events it gets; kept by `Events`."""
    pressure: Pressure | None
    """While too much waits for it; kept by `Flow`."""
    paused_by: set[Client]
    """Because of whom its link is not read; kept by `Flow`."""
    calls: int
    """Calls of its services that were ever passed on to it; counted by who passes them on."""
    calls_seen: int
    """Of these, those that `load` counts."""
    load: float
    """Its load until `load_at` in calls, fading; changed by `load_per_min`."""
    load_at: float
    """When its load was last asked for (s, loop time)."""
    noticed: tuple[int, int]
    """In which second (loop time) it last heard that an event was refused, and how often; see `Notices`."""

    def __init__(
        self, ports: ClientPorts, workspace: str, client_id: str, user: User, token: str | None
    ) -> None:
        self.ports = ports
        self.workspace = workspace
        self.client_id = client_id
        self.address = f"{workspace}/{client_id}"
        self.token = token
        self.act_as(user)
        self.state = State.NEW
        self.is_mirror = self.is_open = self.fails_fast = self.is_retired = False
        self.connection = self.hold = self.pressure = None
        self.generation = self.flaps = self.calls = self.calls_seen = 0
        self.connected_at = self.last_received = self.last_alive = self.load = 0.0
        self.load_at = ports.time()
        self.noticed = (0, 0)
        self.outbox = Outbox()
        self.pending = {}
        self.doubts = {}
        self.subscriptions = set()
        self.paused_by = set()

    def act_as(self, user: User) -> None:
        """Act with the rights of this user record from now on; who the user is stays the same.

        One whose token has expired appears to others as a stranger, from no workspace.
        """
        self.user = user
        self.is_outsider = user.is_outsider
        self.realm = NOWHERE if user.is_lapsed else self.workspace
        self.rights = _rights(self.realm, user)
        facts_for = user.facts_for if user.names_others else None
        self.stamp = Stamp(self.address, self.realm or STRANGERS, user.to_wire(), facts_for)

    # -- Its life

    def _become(self, state: State) -> None:
        if state not in NEXT[self.state]:
            raise ServerFault(f"{self.address} cannot become {state.value}: it is {self.state.value}.")
        self.state = state
        self.is_open = state is State.OPEN
        self.fails_fast = state is State.FAILING_FAST or self.is_retired

    def attach(self, connection: Connection) -> None:
        """It has a link, its first or a new one: nothing is written before it is opened."""
        self._become(State.OPENING)
        self.connection, self.hold = connection, None
        self.generation += 1
        self.connected_at = self.last_received = self.last_alive = self.ports.time()

    def open(self) -> None:
        """It has shown that it hears: frames are written at once."""
        self._become(State.OPEN)

    def lose_link(self, link: Connection) -> Hold:
        """Its link is gone: it is held."""
        self._become(State.HELD)
        now = self.ports.time()
        self.flaps = self.flaps + 1 if now - self.connected_at < FLAP_LIFE_S else 0
        self.connection, self.hold = None, Hold(link, now)
        return self.hold

    def fail_fast(self) -> None:
        """Callers wait for it no more: their calls are refused."""
        self._become(State.FAILING_FAST)

    def retire(self) -> None:
        """It is about to stop: it gets no more calls, and ends what it has begun."""
        self.is_retired = self.fails_fast = True

    def end(self) -> Connection | None:
        """It is no more; the link that it had is to be closed."""
        self._become(State.ENDED)
        link, self.connection, self.hold = self.connection, None, None
        return link

    @property
    def ended(self) -> bool:
        """True at the end of its life."""
        return self.state is State.ENDED

    @property
    def is_held(self) -> bool:
        """True between two links."""
        return self.hold is not None

    @property
    def is_live(self) -> bool:
        """True while it has a link."""
        return self.connection is not None

    # -- What others ask about it

    def takes(self, method: object) -> bool:
        """Whether a frame for this method is passed on to it; answers to a retired one are."""
        if self.state is State.FAILING_FAST:
            return False
        is_call = self.is_retired and isinstance(method, str) and method.startswith("services.")
        return not is_call or str(method).startswith(BUILT_IN)

    @property
    def is_choked(self) -> bool:
        """True while too much waits for it."""
        return self.pressure is not None

    @property
    def is_inner(self) -> bool:
        """True for clients inside the server's own process."""
        return self.connection is not None and self.connection.kind is LinkKind.INNER

    @property
    def last_link(self) -> Connection | None:
        """Its link, or the one that it lost while it is held."""
        return self.connection if self.hold is None else self.hold.link

    @property
    def peer_address(self) -> str:
        """Its network address, or the last one while it is held; empty for the server's own clients."""
        link = self.last_link
        return link.peer_address if link is not None else ""

    @property
    def connection_type(self) -> str:
        """The kind of its link; empty while held."""
        return self.connection.kind if self.connection else ""

    @property
    def load_per_min(self) -> float:
        """Calls forwarded to it in about the last minute; 0 unless its id asks to be measured."""
        if not self.client_id.endswith(MEASURED_SUFFIX):
            return 0.0
        now = self.ports.time()
        minutes = (now - self.load_at) / 60.0
        faded = math.exp(-minutes)
        spread = (1.0 - faded) / minutes if minutes > 0.001 else 1.0
        self.load = self.load * faded + (self.calls - self.calls_seen) * spread
        self.load_at, self.calls_seen = now, self.calls
        return self.load

    @property
    def context(self) -> Context:
        """Who calls, for the server's own services."""
        details = {"address": self.peer_address}  # now: the link may be gone when somebody asks
        return Context(
            self.user, self.workspace, self.client_id, self.connection_type or LinkKind.WEBSOCKET, details
        )

    # -- What goes to it

    def deliver(self, frame: Frame, kind: int, key: CallKey | None = None, interval_s: float = 15.0) -> None:
        """Send a frame, or keep it in order until the client is back.

        Answers are kept until they are known to have arrived; calls and events are not.
        `key` names the caller and session of a call that waits for an answer; it is remembered
        until the answer passes, so that the caller can be told when none will come.
        """
        outbox = self.outbox
        if self.is_open and (kind == _CALL or kind == _EVENT):
            # never sent twice, so nothing of it needs to be kept
            if key is not None:  # `_expect` written out: it can be measured per call
                pending = self.pending
                pending[key] = (outbox.end - 1, self.ports.time(), interval_s)
                if len(pending) > FEW_PENDING_CALLS:
                    self._expect_many()
            self.connection.send_frame(frame)  # type: ignore[union-attr]
            return
        seq = outbox.end
        outbox.end = seq + 1
        size = len(frame)
        outbox.entries.append((frame, kind, key))
        outbox.bytes += size
        if key is not None:
            self._expect(key, seq, interval_s)
        if not self.is_open:
            self.ports.frame_waits(self)
            return
        outbox.written = seq + 1
        unpinged = outbox.unpinged_bytes
        outbox.unpinged_bytes = unpinged + size
        self.connection.send_frame(frame)  # type: ignore[union-attr]
        if not unpinged or unpinged > PING_BYTES:
            self.ports.unacknowledged(self)

    def _expect(self, key: CallKey, seq: int, interval_s: float) -> None:
        """Remember a call until its answer passes; its answer proves what was sent before it."""
        self.pending[key] = (seq, self.ports.time(), interval_s)
        if len(self.pending) > FEW_PENDING_CALLS:
            self._expect_many()

    def _expect_many(self) -> None:
        """Watch for no more answers than there is room for; the oldest calls give way."""
        pending = self.pending
        if len(pending) > MAX_PENDING_CALLS:
            pending.pop(next(iter(pending)))
        elif len(pending) % _PENDING_STEP == 0 and not self.ports.unanswered.note(self, len(pending)):
            for key in list(islice(pending, _PENDING_STEP)):
                del pending[key]

    def reject(self, session: str, source: str, error: HyphaError) -> None:
        """End a waiting call of this client with an error, as if `source` had answered."""
        if not self.ended:
            self.deliver(reject_frame(session, source, self.address, error), Kind.ANSWER)

    def tell(self, message: dict[str, Any]) -> None:
        """Send it an event of the server."""
        self.deliver(encode(message), Kind.EVENT)

    def __repr__(self) -> str:
        return f"<Client {self.address} {self.state.value} g{self.generation}>"


def _rights(workspace: str, user: User) -> str:
    """One text for where somebody acts, as whom, and with what rights."""
    levels = sorted((name, level.code) for name, level in user.scope.workspaces.items())
    return sys.intern(repr((workspace, user.id, user.roles, levels, user.limit)))
