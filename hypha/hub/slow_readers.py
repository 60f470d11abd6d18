"""Receivers that take nothing any more, or make other workspaces wait, are closed with 1013.

Their callers are told when their state ends (docs/spec/reconnecting.md#flow).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hypha.hub.flow import Flow, level_of

if TYPE_CHECKING:
    from hypha.clock import Clock
    from hypha.hub.client import Client, Pressure
    from hypha.hub.connection import Connection
    from hypha.hub.ending import Ending
    from hypha.hub.pulse import Pulse
    from hypha.hub.resume import Resume
    from hypha.hub.stats import HubStats

logger = logging.getLogger(__name__)

CLOSE_GRACE_S = 1.0


class SlowReaders:
    """Watches full receivers.

    Args:
        deadline_s: a full receiver that takes no byte for so long is closed.
        foreign_pause_limit_s: how long a receiver may pause a sender of another workspace.
    """

    def __init__(
        self,
        clock: Clock,
        pulse: Pulse,
        flow: Flow,
        resume: Resume,
        ending: Ending,
        stats: HubStats,
        deadline_s: float,
        foreign_pause_limit_s: float,
    ) -> None:
        self._deadline_s = deadline_s
        self._foreign_pause_limit_s = foreign_pause_limit_s
        self._clock = clock
        self._pulse = pulse
        self._flow = flow
        self._resume = resume
        self._ending = ending
        self._stats = stats

    def sweep(self, now: float) -> None:
        """Release those that have drained, and close those that have waited for too long."""
        for client in list(self._flow.choked):
            self._flow.drained(client)
            if client.pressure is not None and not client.is_mirror:  # its own replica looks at it
                self._look_at(client, client.pressure, now)
        if self._flow.choked:
            self._pulse.wake()

    def _look_at(self, client: Client, pressure: Pressure, now: float) -> None:
        level = level_of(client)
        if level < pressure.level:
            pressure.drained_at = now
        pressure.level = level  # senders add to it for as long as they are not paused
        is_stuck = now - pressure.drained_at > self._deadline_s
        if not is_stuck and not self._starves_others(client, pressure, now):
            return
        if client.connection is None:
            self._ending.end(client, "too much was waiting for it")
        else:
            self._close(client, client.connection)

    def _starves_others(self, client: Client, pressure: Pressure, now: float) -> bool:
        """Whether it has made a sender of another workspace wait for too long."""
        return now - pressure.since > self._foreign_pause_limit_s and any(
            feeder.workspace != client.workspace for feeder in pressure.feeders
        )

    def _close(self, client: Client, link: Connection) -> None:
        logger.warning("Closing %s: it does not read what others send to it", client.address)
        self._stats.slow_readers_closed += 1
        link.close(1013, "Messages were not read fast enough")
        self._clock.call_later(CLOSE_GRACE_S, link.abort)
        self._resume.lost(client, link, 1013)  # what comes from now on waits for its return
