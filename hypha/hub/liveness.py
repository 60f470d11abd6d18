"""The slow sweep over all clients: idle ones, half-open links, calls whose caller waits no more."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from hypha.hub.connection import LinkKind

if TYPE_CHECKING:
    from hypha.clock import Clock, Timer
    from hypha.hub.client import Client
    from hypha.hub.clients import Clients
    from hypha.hub.shares import Shares

logger = logging.getLogger(__name__)

SILENT_AFTER_S = 40.0
DEAD_AFTER_S = 60.0
FORGET_PENDING_S = 7200.0
PENDING_SWEEP_S = 60.0


class Liveness:
    """Finds links that are dead or not used.

    Args:
        expire: drops what clients began and left unfinished; called each minute with the time.
    """

    def __init__(
        self, clock: Clock, clients: Clients, unanswered: Shares, expire: Callable[[float], None]
    ) -> None:
        self._clock = clock
        self._clients = clients
        self._unanswered = unanswered
        self._expire = expire
        self._timer: Timer | None = None
        """The next sweep; None before `start`."""
        self._forgot_at = 0.0
        """When calls that nobody waits for were looked for last (s, loop time)."""

    def start(self, idle_timeout_s: float, interval_s: float) -> None:
        """Sweep every `interval_s`; who sends nothing for the timeout is closed, if that isn't 0."""

        def sweep() -> None:
            self._timer = self._clock.call_later(interval_s, sweep)
            self.sweep(self._clock.time(), idle_timeout_s)

        self._timer = self._clock.call_later(interval_s, sweep)

    def sweep(self, now: float, idle_timeout_s: float) -> None:
        """Look at all clients once."""
        forget = now - self._forgot_at > PENDING_SWEEP_S
        if forget:
            self._forgot_at = now
            self._expire(now)
        for client in self._clients.all():
            try:
                self._check(client, now, idle_timeout_s)
                if forget:
                    if client.pending:
                        _forget_pending(client, now)
                    self._unanswered.note(client, len(client.pending))
            except Exception:
                logger.exception("Liveness check failed")

    def _check(self, client: Client, now: float, idle_timeout_s: float) -> None:
        connection = client.connection
        if connection is None or connection.kind is LinkKind.INNER:
            return
        is_stream = connection.kind is LinkKind.HTTP_STREAM
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
        """Sweep no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None


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
    """Drop calls whose caller waits no more: it is gone, or gave up long ago."""
    gone = [
        key
        for key, (_, since, interval_s) in client.pending.items()
        if key[0].ended or now - since > max(FORGET_PENDING_S, 4 * interval_s)
    ]
    for key in gone:
        del client.pending[key]
