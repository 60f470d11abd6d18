"""One client of the hub: its identity, its link, what is on its way to it and owed by it."""

from __future__ import annotations

import logging
import math
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

from hypha.auth.users import Context, User
from hypha.hub.outbox import PING_BYTES, CallKey, Kind, Outbox, PendingCall
from hypha.hub.shares import Room
from hypha.wire.frames import Sealed, Stamp, encode

if TYPE_CHECKING:
    from hypha.hub.connection import Connection

logger = logging.getLogger(__name__)

MAX_PENDING_CALLS = 50_000
FEW_PENDING_CALLS = 1000
MAX_ALL_PENDING = Room(free=FEW_PENDING_CALLS, party=200_000, strangers=200_000, total=1_000_000)
_PENDING_STEP = 250
"""Pending calls are counted together in such steps: each of them is on the way of a frame."""
NOWHERE = ""
STRANGERS = "ws-anonymous"
MEASURED_SUFFIX = "__rlb"
"""Client ids that end so ask for their load to be measured (docs/spec/manager.md#modes)."""
_CALL, _EVENT = int(Kind.CALL), int(Kind.EVENT)


class Client:
    """A connected (or held) peer, `workspace/client_id`.

    It outlives its connections: while it is held it has none, and resumes on a new one. `user`
    and `stamp` are made at the handshake and change only by `act_as`. `realm` is the workspace whose
    services it may call unasked, its own one. `generation` counts its connections; whoever cleans
    up after a connection compares it first. `left` is the connection whose loss made it held.
    `rights` is the same object for all clients that may do the same.
    """

    __slots__ = (
        "address",
        "calls_recent",
        "choked_level",
        "choked_since",
        "client_id",
        "connected_at",
        "connection",
        "doubts",
        "drained_at",
        "ended",
        "fails_fast",
        "feeders",
        "flaps",
        "generation",
        "held_since",
        "hold_until",
        "hub",
        "is_choked",
        "is_open",
        "is_outsider",
        "last_alive",
        "last_received",
        "left",
        "load",
        "load_at",
        "outbox",
        "paused_by",
        "pending",
        "realm",
        "rights",
        "stamp",
        "subscriptions",
        "token",
        "user",
        "workspace",
    )  # fmt: skip

    def __init__(self, hub: Any, workspace: str, client_id: str, user: User, token: str | None) -> None:
        self.hub = hub
        self.workspace = workspace
        self.client_id = client_id
        self.address = f"{workspace}/{client_id}"
        self.token = token
        self.act_as(user)
        self.connection: Connection | None = None
        self.generation = 0
        self.connected_at = 0.0
        self.last_received = 0.0
        self.left: Connection | None = None
        self.last_alive = 0.0
        self.is_open = False
        self.ended = False
        self.held_since: float | None = None
        self.hold_until = 0.0
        self.flaps = 0
        self.fails_fast = False
        self.subscriptions: set[str] = set()
        self.outbox = Outbox()
        self.pending: dict[CallKey, PendingCall] = {}
        self.doubts: dict[CallKey, float] = {}
        self.is_choked = False
        self.choked_since = 0.0
        self.choked_level = 0
        self.drained_at = 0.0
        self.feeders: set[Client] = set()
        self.paused_by: set[Client] = set()
        self.calls_recent = 0
        self.load = 0.0
        self.load_at = hub.time()

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

    @property
    def is_inner(self) -> bool:
        """True for clients inside the server's own process."""
        return self.connection is not None and self.connection.kind == "inner"

    @property
    def is_held(self) -> bool:
        """True between two connections."""
        return self.held_since is not None

    @property
    def is_live(self) -> bool:
        """True while a connection is attached."""
        return self.connection is not None and not self.ended

    @property
    def peer_address(self) -> str:
        """Its network address, or the last one while it is held; empty for the server's own clients."""
        connection = self.connection or self.left
        return connection.peer_address if connection is not None else ""

    @property
    def connection_type(self) -> str:
        """`websocket` or `http_streaming`; empty while held."""
        return self.connection.kind if self.connection else ""

    @property
    def load_per_min(self) -> float:
        """Calls forwarded to it in about the last minute; 0 unless its id asks to be measured."""
        if not self.client_id.endswith(MEASURED_SUFFIX):
            return 0.0
        now = self.hub.time()
        minutes = (now - self.load_at) / 60.0
        faded = math.exp(-minutes)
        spread = (1.0 - faded) / minutes if minutes > 0.001 else 1.0
        self.load = self.load * faded + self.calls_recent * spread
        self.load_at, self.calls_recent = now, 0
        return self.load

    @property
    def context(self) -> Context:
        """Who calls, for the server's own services."""
        details = {"address": self.peer_address}  # now: the link may be gone when somebody asks
        return Context(
            self.user, self.workspace, self.client_id, self.connection_type or "websocket", details
        )

    def deliver(self, frame: Sealed, kind: int, key: CallKey | None = None, interval_s: float = 15.0) -> None:
        """Send a frame, or keep it in order until the client is back.

        Answers are kept until they are known to have arrived; calls and events are not.
        `key` names the caller and session of a call that waits for an answer; it is remembered
        until the answer passes, so that the caller can be told when none will come.
        """
        outbox = self.outbox
        if self.is_open and (kind == _CALL or kind == _EVENT):
            # never sent twice, so nothing of it needs to be kept
            if key is not None:
                self._expect(key, outbox.end - 1, interval_s)
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
            self.hub.flow.check_held(self)
            return
        outbox.written = seq + 1
        unpinged = outbox.unpinged_bytes
        outbox.unpinged_bytes = unpinged + size
        self.connection.send_frame(frame)  # type: ignore[union-attr]
        if not unpinged or unpinged > PING_BYTES:
            self.hub.pulse.unacknowledged(self)

    def _expect(self, key: CallKey, seq: int, interval_s: float) -> None:
        """Remember a call until its answer passes; its answer proves what was sent before it."""
        self.pending[key] = (seq, self.hub.time(), interval_s)
        if len(self.pending) > FEW_PENDING_CALLS:
            self._expect_many()

    def _expect_many(self) -> None:
        """Watch for no more answers than there is room for; the oldest calls give way."""
        pending = self.pending
        if len(pending) > MAX_PENDING_CALLS:
            pending.pop(next(iter(pending)))
        elif len(pending) % _PENDING_STEP == 0 and not self.hub.unanswered.note(self, len(pending)):
            for key in list(islice(pending, _PENDING_STEP)):
                del pending[key]

    def reject(self, session: str, source: str, text: str) -> None:
        """End a waiting call of this client with an error, as if `source` had answered."""
        if not self.ended:
            self.deliver(reject_frame(session, source, self.address, text), Kind.ANSWER)

    def __repr__(self) -> str:
        state = "ended" if self.ended else "held" if self.is_held else "live"
        return f"<Client {self.address} {state} g{self.generation}>"


def _rights(workspace: str, user: User) -> str:
    """One text for where somebody acts, as whom, and with what rights."""
    levels = sorted((name, level.code) for name, level in user.scope.workspaces.items())
    return sys.intern(repr((workspace, user.id, user.roles, levels, user.limit)))


def reject_frame(session: str, source: str, to: str, text: str) -> Sealed:
    """An error answer in the form that unmodified clients accept (docs/spec/wire-protocol.md#errors)."""
    return encode(
        {"type": "method", "from": source, "to": to, "method": f"{session}.reject", "parent": session},
        {"args": [{"_rtype": "error", "_rvalue": text, "_rtrace": text}]},
    )
