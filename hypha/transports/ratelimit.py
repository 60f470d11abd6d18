"""Configured rates slow the reading of a connection; they never close it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypha.clock import Clock
from hypha.hub.connection import Connection
from hypha.hub.rates import Meters
from hypha.limits import Bucket

if TYPE_CHECKING:
    from hypha.settings import Settings

LONGEST_PAUSE_S = 60.0
UNREACHABLE_RATE = 1e6
"""Frames per second that no connection reaches: such a limit is none, and is not counted."""


class FrameRate:
    """The buckets from which one connection's frames take: its own, its user's, its workspace's."""

    def __init__(self, meters: Meters, clock: Clock) -> None:
        self._meters = meters
        self._clock = clock
        self._paused = False
        """While the reading stands still because of a rate."""

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> FrameRate | None:
        """What slows one connection's frames, as the operator has set it; None for nothing."""
        rate_per_s = settings.ws_msg_rate_limit
        if not 0 < rate_per_s < UNREACHABLE_RATE:
            return None
        return cls.of_connection(rate_per_s, settings.ws_msg_burst_limit, clock)

    @classmethod
    def of_connection(cls, rate_per_s: float, burst: float, clock: Clock) -> FrameRate:
        """Only the connection's own limit: frames per second in the long run, and at once."""
        return cls(Meters((Bucket(rate_per_s, burst, clock.time()),)), clock)

    def with_shared(self, shared: Meters) -> FrameRate:
        """The same with the buckets of the user and the workspace."""
        own = self._meters
        return FrameRate(Meters(own.frames + shared.frames, own.volume + shared.volume), self._clock)

    def spend(self, connection: Connection, size: int) -> None:
        """Count one frame; stop reading for as long as a bucket is overdrawn."""
        wait_s = self._meters.take(self._clock.time(), size)
        if wait_s and not self._paused:
            self._paused = True
            connection.pause_reading()
            self._clock.call_later(min(wait_s, LONGEST_PAUSE_S), self._go_on, connection)

    def _go_on(self, connection: Connection) -> None:
        self._paused = False
        """While the reading stands still because of a rate."""
        connection.resume_reading()
