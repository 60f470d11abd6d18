"""What happens between two connections of a client (docs/spec/reconnecting.md#hold).

A lost link leaves the client held: identity, services and subscriptions stay, frames wait in
its outbox. It resumes on a new connection, or its state ends, and its callers and its workspace are told.
"""

from __future__ import annotations

import logging
from math import inf
from typing import TYPE_CHECKING

from hypha.hub.client import State
from hypha.hub.outbox import Kind
from hypha.hub.waiting import renumber

if TYPE_CHECKING:
    from hypha.clock import Clock
    from hypha.hub.acknowledgement import Acknowledgement
    from hypha.hub.client import Client
    from hypha.hub.connection import Connection
    from hypha.hub.ending import Ending
    from hypha.hub.flow import Flow
    from hypha.hub.pulse import Pulse
    from hypha.hub.stats import HubStats
    from hypha.hub.waiting import Waiting

logger = logging.getLogger(__name__)

GOODBYE_HOLD_S = 1.0
GOODBYE_CALL_HOLD_S = 0.5
"""Callers of a client that has left in order are told well within a second."""
FAREWELL_S = 0.25
FAREWELL_ROUND_TRIPS = 4
LONGEST_FAREWELL_S = 2.0
"""A client that replaces its own socket needs some three round trips to be back; one that has left is
missed by those who listen for it."""
SILENT_OPEN_S = 1.0
SUPERSEDED_S = 0.05
"""So long the link before may still be read when a newer one has taken over."""
GOODBYE_CODES = (1000, 1001)
MAX_REPEATED_BYTES = 1024 * 1024
"""Python clients break a link that brings more at once, and would break each next one, too."""
LONGEST_PAUSE_S = 60.0
"""What the Python client does (docs/spec/reconnecting.md#facts): after the second link in a row that lived
under 5 s it pauses 1 s before it comes back, then 2, 4, … 60 s, each 10 % more or less."""


def pause_after(flaps: int) -> float:
    """How long a client may pause by itself (s) after so many short-lived links in a row."""
    if flaps < 2:
        return 0.0
    return 1.1 * float(min(2.0 ** (flaps - 2), LONGEST_PAUSE_S)) + 2.0


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
    """Takes clients through their life, from one link to the next.

    Args:
        hold_time_s: how long calls to a held client wait for it, or longer if its links keep breaking
            and its library pauses longer by itself; never longer than their callers wait.
        window_s: how long its identity, services and subscriptions are kept.
    """

    def __init__(
        self,
        clock: Clock,
        pulse: Pulse,
        flow: Flow,
        acknowledgement: Acknowledgement,
        waiting: Waiting,
        ending: Ending,
        stats: HubStats,
        hold_time_s: float,
        window_s: float,
    ) -> None:
        self._clock = clock
        self._pulse = pulse
        self._flow = flow
        self._acknowledgement = acknowledgement
        self._waiting = waiting
        self._ending = ending
        self._stats = stats
        self._hold_time_s = hold_time_s
        self._window_s = window_s

    @property
    def held(self) -> int:
        """Number of held clients."""
        return len(self._waiting.held)

    @property
    def held_frames(self) -> int:
        """Number of frames that wait for held clients."""
        return sum(len(client.outbox.entries) for client in self._waiting.held)

    def lost(self, client: Client, connection: Connection, code: int) -> None:
        """A connection ended with a close code; hold its client, unless it has a newer one."""
        if client.connection is not connection:
            return
        hold = client.lose_link(connection)
        self._flow.forget(client)
        self._stats.connections_closed += 1
        self._stats.held += 1
        window_s, calls_s = self._window_s, max(self._hold_time_s, pause_after(client.flaps))
        if code in GOODBYE_CODES:
            window_s = _farewell_s(client, connection)
            calls_s = min(GOODBYE_CALL_HOLD_S, window_s)
            self._clock.call_later(window_s, self._part, client, client.generation)
        hold.ends_at, hold.calls_until = hold.since + window_s, hold.since + calls_s
        self._waiting.add(client, hold)
        self._pulse.wake()
        logger.debug("%s is held for %g s", client.address, window_s)

    def _part(self, client: Client, generation: int) -> None:
        """The time is over in which a client that said goodbye may come back on another socket."""
        if client.generation == generation and client.is_held:
            self._ending.end(client, "it left")

    def attach(self, client: Client, connection: Connection) -> None:
        """Give a client a (new) connection; nothing is sent before `open`."""
        before, hold = client.connection, client.hold
        if before is not None:
            self._stats.superseded += 1
            self._flow.forget(client)
            self._clock.call_later(SUPERSEDED_S, before.close, 1001, "Superseded by a newer connection")
        client.attach(connection)
        client.outbox.round_trip_s = inf
        if client.generation > 1:
            self._waiting.back(client)
            self._stats.resumed += 1
            self._settle(client)
            logger.info(
                "%s is back after %.1f s: %d frames waited, the outcome of %d calls is open",
                client.address,
                self._clock.time() - hold.since if hold is not None else 0.0,
                len(client.outbox.entries),
                len(client.doubts),
            )
        self._clock.call_later(SILENT_OPEN_S, self._open_silent, client, client.generation)

    def _open_silent(self, client: Client, generation: int) -> None:
        if client.generation == generation:
            self.open(client)

    def open(self, client: Client) -> None:
        """Send what waited, in order, if it is opening: the client's first binary frame has come.

        See docs/spec/reconnecting.md#opening.
        """
        connection = client.connection
        if client.state is not State.OPENING or connection is None:
            return
        client.open()
        self._waiting.opened(client)
        outbox = client.outbox
        first = outbox.written - outbox.base
        waiting = list(outbox.entries)[first:]
        outbox.written = outbox.end
        for frame, _, _ in waiting:
            connection.send_frame(frame)
            outbox.unpinged_bytes += len(frame)
        if waiting:
            self._acknowledgement.written(client)

    def _settle(self, client: Client) -> None:
        """Sort the frames in doubt: send answers again, watch for the outcome of calls."""
        outbox = client.outbox
        doubtful = outbox.take_doubtful()
        again = [
            entry
            for entry in doubtful
            if entry[1] in (Kind.ANSWER, Kind.REPEATABLE) and len(entry[0]) <= MAX_REPEATED_BYTES
        ]
        waiting = [*again, *outbox.entries]
        outbox.drop(waiting)
        sure = {entry[2] for entry in waiting if entry[2] is not None}
        self._waiting.doubt(client, self._clock.time(), sure)
        renumber(client)

    def sweep(self, now: float) -> None:
        """End what has run out: windows, waiting calls, hold times, doubts."""
        for client, hold in list(self._waiting.held.items()):
            if now >= hold.ends_at:
                self._ending.end(client, "it did not come back")
        self._waiting.sweep(now)
        if self._waiting.is_watching:
            self._pulse.wake()
