"""PINGs that prove which frames have arrived (docs/spec/reconnecting.md#acknowledgement)."""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING

from hypha.hub.flow import UNPROVEN_HIGH_BYTES, Flow
from hypha.hub.outbox import PING_BYTES
from hypha.hub.pulse import QUICK_S, Pulse

if TYPE_CHECKING:
    from hypha.clock import Clock
    from hypha.hub.client import Client
    from hypha.hub.connection import Connection
    from hypha.hub.stats import HubStats

logger = logging.getLogger(__name__)

UNPROVEN_LIFE_S = 2.0
"""How long a frame counts as unacknowledged where no PONG can be seen."""
UNPROVEN_LIMIT_BYTES = 32 * 1024 * 1024
OVERFULL_AFTER_S = 10.0
"""A client that answers no PING for so long, with so much sent to it, is taken for dead."""
_SEQUENCE = struct.Struct(">Q")


class Acknowledgement:
    """Asks clients for proof of arrival, and drops what is proven.

    `Pulse.slow_s` is the least time between two PINGs to one client.
    """

    def __init__(self, clock: Clock, pulse: Pulse, flow: Flow, stats: HubStats) -> None:
        self._clock = clock
        self._pulse = pulse
        self._flow = flow
        self._stats = stats
        self._waiting: set[Client] = set()
        """Clients to which something was written that is not known to have arrived."""
        self._swept_at = float("-inf")
        """When they were looked at last (s, loop time)."""

    def written(self, client: Client) -> None:
        """A frame was written to the client; see that it gets acknowledged."""
        outbox = client.outbox
        if outbox.unpinged_bytes > PING_BYTES:
            if outbox.pinged < 0:
                self._ping(client)
            if outbox.bytes > UNPROVEN_HIGH_BYTES:
                self._overfull(client)
        self._waiting.add(client)
        self._pulse.watch()

    def pong(self, client: Client, payload: bytes) -> None:
        """A PONG came back: everything up to its number has arrived."""
        if len(payload) == _SEQUENCE.size:
            (seq,) = _SEQUENCE.unpack(payload)
            outbox = client.outbox
            if seq == outbox.pinged:
                outbox.pinged = -1
                outbox.round_trip_s = min(outbox.round_trip_s, self._clock.time() - outbox.pinged_at)
                outbox.acknowledge(seq)
                if client.is_choked:
                    self._flow.drained(client)

    def _overfull(self, client: Client) -> None:
        """Too much is kept unproven: pause its senders, or believe what no PONG can prove."""
        connection = client.connection
        if connection is not None and connection.acknowledges:
            self._flow.choke(client)
        else:
            client.outbox.acknowledge(client.outbox.written - 1)
            client.outbox.pinged = -1

    def _ping(self, client: Client) -> None:
        outbox = client.outbox
        connection = client.connection
        if connection is None:
            return
        outbox.pinged = outbox.written - 1
        outbox.pinged_at = self._clock.time()
        outbox.unpinged_bytes = 0
        if connection.acknowledges:
            self._stats.pings += 1
            connection.send_ping(_SEQUENCE.pack(outbox.pinged))

    def sweep(self, now: float) -> None:
        """Ask again, or believe, where it is time to."""
        if now - self._swept_at >= self._pulse.slow_s - QUICK_S / 2:
            self._swept_at = now
            for client in list(self._waiting):
                self._tend(client, now)
        if self._waiting:
            self._pulse.watch()

    def _tend(self, client: Client, now: float) -> None:
        outbox = client.outbox
        connection = client.connection
        if connection is None or outbox.base == outbox.written:
            self._waiting.discard(client)
            outbox.unpinged_bytes = 0
            outbox.pinged = -1
        elif outbox.pinged < 0:
            self._ping(client)
        elif connection.acknowledges:
            self._check_proof(client, connection, now - outbox.pinged_at)
        elif now - outbox.pinged_at > UNPROVEN_LIFE_S:
            outbox.acknowledge(outbox.pinged)
            outbox.pinged = -1

    @staticmethod
    def _check_proof(client: Client, connection: Connection, waited_s: float) -> None:
        """Bound what is kept for a client that reads and never proves it.

        A slow reader's PONG comes late, behind what it has yet to read; that is for `Flow`.
        """
        if waited_s < OVERFULL_AFTER_S or client.outbox.bytes < UNPROVEN_LIMIT_BYTES:
            return
        if not client.paused_by and not connection.buffered_bytes():
            logger.warning("Closing %s: it answers no PING", client.address)
            connection.abort()
