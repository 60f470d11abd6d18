"""Configured rates slow the reading of a connection; they never close it."""

from __future__ import annotations

from hypha.clock import Clock
from hypha.hub.connection import Connection
from hypha.hub.rates import Meters
from hypha.limits import Bucket

LONGEST_PAUSE_S = 60.0


class FrameRate:
    """The buckets from which one connection's frames take: its own, its user's, its workspace's."""

    def __init__(self, meters: Meters, clock: Clock) -> None:
        self._meters = meters
        self._clock = clock
        self._paused = False

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
        connection.resume_reading()
