"""One timer for all clients: acknowledgements, held clients, full receivers, silent links.

It runs only while there is something to watch, so an idle server does nothing.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import TYPE_CHECKING

from hypha.hub.flow import UNPROVEN_HIGH_BYTES
from hypha.hub.outbox import PING_BYTES

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.hub.connection import Connection
    from hypha.hub.hub import Hub

logger = logging.getLogger(__name__)

QUICK_S = 0.1
UNPROVEN_LIFE_S = 2.0
"""How long a frame counts as unacknowledged where no PONG can be seen.

See docs/spec/reconnecting.md#acknowledgement.
"""
SILENT_AFTER_S = 40.0
DEAD_AFTER_S = 60.0
UNPROVEN_LIMIT_BYTES = 32 * 1024 * 1024
OVERFULL_AFTER_S = 10.0
"""A client that answers no PING for so long, with so much sent to it, is taken for dead."""
FORGET_PENDING_S = 7200.0
PENDING_SWEEP_S = 60.0
_SEQUENCE = struct.Struct(">Q")


class Pulse:
    """Sends the PINGs that acknowledge frames, and calls the sweeps of flow and resume."""

    def __init__(self, hub: Hub, ack_interval_s: float) -> None:
        self.hub = hub
        self.ack_interval_s = ack_interval_s
        self._unacknowledged: set[Client] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._liveness: asyncio.TimerHandle | None = None
        self._pending_swept = 0.0
        self._tended_at = float("-inf")
        self._is_quick = False

    def unacknowledged(self, client: Client) -> None:
        """A frame was written to the client; see that it gets acknowledged."""
        outbox = client.outbox
        if outbox.unpinged_bytes > PING_BYTES:
            if outbox.pinged < 0:
                self._ping(client)
            if outbox.bytes > UNPROVEN_HIGH_BYTES:
                self._overfull(client)
        self._unacknowledged.add(client)
        if self._timer is None:
            self._timer = self.hub.loop.call_later(self.ack_interval_s, self._tick)

    def wake(self) -> None:
        """Let the timer run at its quick pace: somebody is held, full or in doubt."""
        if self._timer is None or not self._is_quick:
            if self._timer is not None:
                self._timer.cancel()
            self._is_quick = True
            self._timer = self.hub.loop.call_later(QUICK_S, self._tick)

    def pong(self, client: Client, payload: bytes) -> None:
        """A PONG came back: everything up to its number has arrived."""
        if len(payload) == _SEQUENCE.size:
            (seq,) = _SEQUENCE.unpack(payload)
            outbox = client.outbox
            if seq == outbox.pinged:
                outbox.pinged = -1
                outbox.round_trip_s = min(outbox.round_trip_s, self.hub.time() - outbox.pinged_at)
                outbox.acknowledge(seq)
                if client.is_choked:
                    self.hub.flow.drained(client)

    def _overfull(self, client: Client) -> None:
        """Too much is kept unproven: pause its senders, or believe what no PONG can prove."""
        connection = client.connection
        if connection is not None and connection.acknowledges:
            self.hub.flow.choke(client)
        else:
            client.outbox.acknowledge(client.outbox.written - 1)
            client.outbox.pinged = -1

    def _ping(self, client: Client) -> None:
        outbox = client.outbox
        connection = client.connection
        if connection is None:
            return
        outbox.pinged = outbox.written - 1
        outbox.pinged_at = self.hub.time()
        outbox.unpinged_bytes = 0
        if connection.acknowledges:
            self.hub.stats.pings += 1
            connection.send_ping(_SEQUENCE.pack(outbox.pinged))

    def _tick(self) -> None:
        self._timer = None
        self._is_quick = False
        now = self.hub.time()
        try:
            if now - self._tended_at >= self.ack_interval_s - QUICK_S / 2:
                self._tended_at = now
                for client in list(self._unacknowledged):
                    self._tend(client, now)
            self.hub.flow.sweep(now)
            self.hub.resume.sweep(now)
        except Exception:
            logger.exception("The hub's timer failed; it goes on")
        if self.hub.flow.choked or self.hub.resume.is_watching:
            self.wake()
        elif self._unacknowledged:
            self._timer = self.hub.loop.call_later(self.ack_interval_s, self._tick)

    def _tend(self, client: Client, now: float) -> None:
        outbox = client.outbox
        connection = client.connection
        if connection is None or outbox.base == outbox.written:
            self._unacknowledged.discard(client)
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

    def start_liveness(self, idle_timeout_s: float, check_interval_s: float) -> None:
        """Begin the slow sweep that finds idle clients and half-open links."""

        def sweep() -> None:
            self._liveness = self.hub.loop.call_later(check_interval_s, sweep)
            now = self.hub.time()
            forget = now - self._pending_swept > PENDING_SWEEP_S
            if forget:
                self._pending_swept = now
                for peer in self.hub.peers():
                    peer.unfinished.expire(now)
            for client in list(self.hub.clients.values()):
                try:
                    self._check_liveness(client, now, idle_timeout_s)
                    if forget and client.pending:
                        _forget_pending(client, now)
                    if forget:
                        self.hub.unanswered.note(client, len(client.pending))
                except Exception:
                    logger.exception("Liveness check failed")

        self._liveness = self.hub.loop.call_later(check_interval_s, sweep)

    def _check_liveness(self, client: Client, now: float, idle_timeout_s: float) -> None:
        connection = client.connection
        if connection is None or connection.kind == "inner":
            return
        is_stream = connection.kind == "http_streaming"  # its client has nothing to send while it is idle
        if 0 < idle_timeout_s < now - client.last_received and not is_stream:
            text = f"Idle timeout ({idle_timeout_s:g}s)"
            connection.send_control({"type": "error", "message": text})
            connection.close(1001, text)
            return
        if not connection.acknowledges or client.paused_by:
            return
        quiet_s = now - max(client.last_received, client.last_alive)
        if quiet_s > DEAD_AFTER_S:
            if _is_at_work(client, now, now - quiet_s):
                return
            logger.info("Link of %s is dead: nothing came for %.0f s", client.address, quiet_s)
            connection.abort()
        elif quiet_s > SILENT_AFTER_S and client.outbox.pinged < 0:
            connection.send_ping(b"alive?")

    def stop(self) -> None:
        """Cancel the timers."""
        for timer in (self._timer, self._liveness):
            if timer is not None:
                timer.cancel()
        self._timer = self._liveness = None


def _is_at_work(client: Client, now: float, heard_at: float) -> bool:
    """Whether it may be silent because of a call that its caller still waits for.

    The Python client runs plain functions in its event loop and answers nothing meanwhile. Calls that
    came later prove nothing.
    """
    return any(
        at < heard_at + SILENT_AFTER_S and now < at + 2 * interval_s
        for _, at, interval_s in client.pending.values()
    )


def _forget_pending(client: Client, now: float) -> None:
    """Drop calls nobody waits for any more: their caller is gone, or gave up long ago."""
    gone = [
        key
        for key, (_, since, interval_s) in client.pending.items()
        if getattr(key[0], "ended", False) or now - since > max(FORGET_PENDING_S, 4 * interval_s)
    ]
    for key in gone:
        del client.pending[key]
