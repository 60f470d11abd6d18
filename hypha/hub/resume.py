"""What happens between two connections of a client (docs/spec/reconnecting.md#hold).

A lost link leaves the client held: identity, services and subscriptions stay, frames wait in
its outbox. It resumes on a new connection, or its state ends and everybody is told.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from math import inf
from typing import TYPE_CHECKING

from hypha.errors import OutcomeUnknown
from hypha.hub.outbox import CallKey, Entry, Kind, PendingCall
from hypha.hub.router import absent_text

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.hub.connection import Connection
    from hypha.hub.hub import Hub

logger = logging.getLogger(__name__)

GOODBYE_HOLD_S = 1.0
GOODBYE_CALL_HOLD_S = 0.5
"""Callers of a client that has left in order are told well within a second."""
FAREWELL_S = 0.25
FAREWELL_ROUND_TRIPS = 4
LONGEST_FAREWELL_S = 2.0
"""A client that replaces its own socket needs some three round trips to be back; one that has left is
missed by those who listen for it."""
MIN_GRACE_S = 2.0
SILENT_OPEN_S = 1.0
GOODBYE_CODES = (1000, 1001)
MAX_REPEATED_BYTES = 1024 * 1024
"""Python clients break a link that brings more at once, and would break each next one, too."""
LOOK_PAUSE_S = 1e-5
"""Pause after a look at what waits for a held client, for each call and frame, so that looking takes a small
part of the time."""
FLAP_LIFE_S = 5.0
LONGEST_PAUSE_S = 60.0
"""What the Python client does (docs/spec/reconnecting.md#facts): after the second link in a row that lived
under 5 s it pauses 1 s before it comes back, then 2, 4, … 60 s, each 10 % more or less."""


def pause_after(flaps: int) -> float:
    """How long a client may pause by itself (s) after so many short-lived links in a row."""
    if flaps < 2:
        return 0.0
    return 1.1 * float(min(2.0 ** (flaps - 2), LONGEST_PAUSE_S)) + 2.0


def patience_until(call: PendingCall) -> float:
    """Loop time at which a call that waits must be ended by us, before its caller ends it.

    See docs/spec/reconnecting.md#patience.

    It is 1 s before the caller's timeout, but never less than half of it.
    """
    _, since, interval_s = call
    return since + max(2 * interval_s - 1.0, interval_s)


def outcome_text(address: str) -> str:
    """What a caller reads when nobody can know whether its call ran."""
    return OutcomeUnknown(
        f"The link to {address} broke while the call was on its way or running, and no answer came. "
        "It may have run; repeat it only if that does no harm."
    ).rpc_text


def _farewell_s(client: Client, connection: Connection) -> float:
    """How long (s) a client that said goodbye may take to be back on another socket.

    Behind a proxy the socket's round trip is that to the proxy; a PONG comes from the client itself.
    """
    measured = connection.farewell_s
    if measured is None:
        return GOODBYE_HOLD_S
    proven = client.outbox.round_trip_s
    round_trip_s = max(measured, 0.0 if proven == inf else proven)
    return min(FAREWELL_S + FAREWELL_ROUND_TRIPS * round_trip_s, LONGEST_FAREWELL_S)


class Resume:
    """Holds, resumes and ends the state of clients.

    Args:
        hold_time_s: how long calls to a held client wait for it, or longer if its links keep breaking
            and its library pauses longer by itself; never longer than their callers wait.
        window_s: how long its identity, services and subscriptions are kept.
    """

    def __init__(self, hub: Hub, hold_time_s: float, window_s: float) -> None:
        self.hub = hub
        self.hold_time_s = hold_time_s
        self.window_s = window_s
        self._held: dict[Client, float] = {}
        self._looks: dict[Client, tuple[float, float]] = {}
        """When the calls that wait for a held client are looked at next, and before when they are not."""
        self._doubtful: set[Client] = set()

    @property
    def is_watching(self) -> bool:
        """True while a client is held or a call's outcome is in doubt."""
        return bool(self._held or self._doubtful)

    @property
    def held(self) -> int:
        """Number of held clients."""
        return len(self._held)

    @property
    def held_frames(self) -> int:
        """Number of frames that wait for held clients."""
        return sum(len(client.outbox.entries) for client in self._held)

    def lost(self, client: Client, connection: Connection, code: int) -> None:
        """A connection ended with a close code; hold its client, unless it has a newer one."""
        if client.connection is not connection or client.ended:
            return
        now = self.hub.time()
        client.connection, client.left = None, connection
        client.is_open = False
        client.held_since = now
        client.doubts.clear()
        self._doubtful.discard(client)
        self.hub.flow.forget(client)
        self.hub.stats.connections_closed += 1
        client.flaps = client.flaps + 1 if now - client.connected_at < FLAP_LIFE_S else 0
        goodbye = code in GOODBYE_CODES
        window_s = _farewell_s(client, connection) if goodbye else self.window_s
        call_hold_s = min(GOODBYE_CALL_HOLD_S, window_s)
        hold_s = call_hold_s if goodbye else max(self.hold_time_s, pause_after(client.flaps))
        client.hold_until = now + hold_s
        self._held[client] = now + window_s
        self._looks.pop(client, None)
        self.hub.stats.held += 1
        self.hub.pulse.wake()
        if goodbye:
            self.hub.loop.call_later(window_s, self._part, client, client.generation)
        logger.debug("%s is held for %g s", client.address, window_s)

    def _part(self, client: Client, generation: int) -> None:
        """The time is over in which a client that said goodbye may come back on another socket."""
        if client.generation == generation and client in self._held:
            self.end(client, "it left")

    def attach(self, client: Client, connection: Connection) -> None:
        """Give a client a (new) connection; nothing is sent before `open`."""
        old = client.connection
        if old is not None:
            self.hub.stats.superseded += 1
            self.hub.flow.forget(client)
            self.hub.loop.call_later(0.05, old.close, 1001, "Superseded by a newer connection")
        resumed = client.generation > 0
        client.connection, client.left = connection, None
        client.outbox.round_trip_s = inf
        client.generation += 1
        client.is_open = client.fails_fast = False
        away_s = self.hub.time() - client.held_since if client.held_since is not None else 0.0
        client.held_since = None
        client.connected_at = client.last_received = client.last_alive = self.hub.time()
        if resumed:
            self._held.pop(client, None)
            self._looks.pop(client, None)
            self.hub.stats.resumed += 1
            self._settle(client)
            logger.info(
                "%s is back after %.1f s: %d frames waited, the outcome of %d calls is open",
                client.address,
                away_s,
                len(client.outbox.entries),
                len(client.doubts),
            )
        self.hub.loop.call_later(SILENT_OPEN_S, self._open_silent, client, client.generation)

    def _open_silent(self, client: Client, generation: int) -> None:
        if client.generation == generation and not client.is_open and client.connection is not None:
            self.open(client)

    def open(self, client: Client) -> None:
        """Send what waited, in order: the client's first binary frame has come.

        See docs/spec/reconnecting.md#opening.
        """
        connection = client.connection
        if connection is None or client.ended:
            return
        client.is_open = True
        self.hub.flow.held.forget(client)
        outbox = client.outbox
        first = outbox.written - outbox.base
        waiting = list(outbox.entries)[first:]
        outbox.written = outbox.end
        for frame, _, _ in waiting:
            connection.send_frame(frame)
            outbox.unpinged_bytes += len(frame)
        if waiting:
            self.hub.pulse.unacknowledged(client)

    def _settle(self, client: Client) -> None:
        """Sort the frames in doubt: send answers again, watch for the outcome of calls."""
        outbox = client.outbox
        doubtful = outbox.take_doubtful()
        again = [
            entry
            for entry in doubtful
            if entry[1] in (Kind.ANSWER, Kind.REPEATABLE) and len(entry[0]) <= MAX_REPEATED_BYTES
        ]
        repeated = {entry[2] for entry in again if entry[2] is not None}
        waiting = [*again, *outbox.entries]
        outbox.drop(waiting)
        unwritten: set[CallKey] = {entry[2] for entry in waiting if entry[2] is not None}
        now = self.hub.time()
        for key, call in client.pending.items():
            if key in unwritten or key in repeated:
                continue
            grace_s = max(MIN_GRACE_S, call[2] + 1.0)
            client.doubts[key] = max(min(now + grace_s, patience_until(call)), now + 0.5)
        self._renumber(client)
        if client.doubts:
            self._doubtful.add(client)

    @staticmethod
    def _renumber(client: Client) -> None:
        outbox = client.outbox
        for number, (_, _, key) in enumerate(outbox.entries, outbox.base):
            if key is not None and key in client.pending:
                _, since, interval_s = client.pending[key]
                client.pending[key] = (number, since, interval_s)

    def sweep(self, now: float) -> None:
        """End what has run out: waiting calls, hold times, windows, doubts."""
        for client, until in list(self._held.items()):
            if now >= until:
                self.end(client, "it did not come back")
            elif not client.fails_fast and now >= self._looks.get(client, (now, now))[0]:
                self._sweep_held(client, now)
                self._plan_look(client, now)
        for client in list(self._doubtful):
            for key, deadline in list(client.doubts.items()):
                if now >= deadline:
                    del client.doubts[key]
                    if client.pending.pop(key, None) is not None:
                        self._tell_unknown(client, key)
            if not client.doubts:
                self._doubtful.discard(client)

    def _sweep_held(self, client: Client, now: float) -> None:
        client.fails_fast = now >= client.hold_until
        until = inf if client.fails_fast else now
        given_up = list(client.pending) if client.fails_fast else []
        self._fail_waiting(client, until)
        self._fail_written(client, until)
        self._tell_elsewhere(client, given_up)

    def _plan_look(self, client: Client, now: float) -> None:
        """Look again when somebody's patience ends; the later, the longer a look takes."""
        first = min(map(patience_until, client.pending.values()), default=inf)
        earliest = now + LOOK_PAUSE_S * (len(client.pending) + len(client.outbox.entries))
        self._looks[client] = min(max(first, earliest), client.hold_until), earliest

    def waits(self, client: Client, call: PendingCall) -> None:
        """One more call waits for a held client."""
        planned = self._looks.get(client)
        if planned is not None:
            due, earliest = planned
            self._looks[client] = min(due, max(patience_until(call), earliest)), earliest

    def _fail_waiting(self, client: Client, now: float) -> None:
        """Refuse calls that wait and whose callers' patience ends by `now`."""
        outbox = client.outbox
        if outbox.written == outbox.end:
            return
        first = outbox.written - outbox.base
        entries = list(outbox.entries)
        keep: list[Entry] = []
        for entry in entries[first:]:
            call = client.pending.get(entry[2]) if entry[2] is not None else None
            if call is not None and now >= patience_until(call):
                del client.pending[entry[2]]
                self._tell_undelivered(client, entry[2])
            else:
                keep.append(entry)
        if len(keep) != len(entries) - first:
            written = entries[:first]
            outbox.entries.clear()
            outbox.entries.extend([*written, *keep])
            outbox.end = outbox.written + len(keep)
            outbox.bytes = sum(len(entry[0]) for entry in outbox.entries)
            self._renumber(client)

    def _fail_written(self, client: Client, now: float) -> None:
        """End calls that were passed on and whose callers' patience ends by `now`."""
        written = client.outbox.written
        over = [
            key for key, call in client.pending.items() if now >= patience_until(call) and call[0] < written
        ]
        for key in over:
            del client.pending[key]
            self._tell_unknown(client, key)

    def _tell_undelivered(self, client: Client, key: CallKey) -> None:
        self.hub.stats.rejects_not_delivered += 1
        key[0].reject(key[1], client.address, absent_text(client.address))

    def _tell_unknown(self, client: Client, key: CallKey) -> None:
        self.hub.stats.outcome_unknown += 1
        key[0].reject(key[1], client.address, outcome_text(client.address))

    def _tell_elsewhere(self, client: Client, calls: Iterable[CallKey]) -> None:
        """Let callers in other workspaces drop all they keep for an ended client.

        See docs/spec/wire-protocol.md#absent-peers.

        Those of its own workspace learn it from `client_disconnected`.
        """
        for caller, session in {key[0]: key[1] for key in calls}.items():
            found = self.hub.clients.get(caller.address)
            if found is caller and found.workspace != client.workspace:
                message = {
                    "session": session,
                    "peer_id": client.address,
                    "error": outcome_text(client.address),
                }
                self.hub.tell(found, {"type": "peer_not_found", "to": found.address, **message})

    def end(self, client: Client, why: str) -> None:
        """End a client's state: its services go, its callers are told, events are sent."""
        if client.ended:
            return
        logger.debug("The state of %s ends: %s", client.address, why)
        client.ended = True
        self._held.pop(client, None)
        self._looks.pop(client, None)
        self._doubtful.discard(client)
        if self.hub.clients.get(client.address) is client:
            del self.hub.clients[client.address]
        connection, client.connection = client.connection, None
        self.hub.flow.forget(client)
        self.hub.membership.services_end(client)
        outbox = client.outbox
        entries = list(outbox.entries)
        unwritten = {entry[2] for entry in entries[outbox.written - outbox.base :] if entry[2] is not None}
        calls, client.pending = client.pending, {}
        for key in calls:
            if key in unwritten:
                self._tell_undelivered(client, key)
            else:
                self._tell_unknown(client, key)
        self._tell_elsewhere(client, calls)
        outbox.drop([])
        self.hub.leftovers.add(entry[0] for entry in entries)
        client.is_open = False
        self.hub.membership.client_ended(client)
        if connection is not None:
            self.hub.stats.connections_closed += 1
            connection.close(1001, "The client's state has ended")
