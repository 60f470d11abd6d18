"""A configured message rate slows the reading of a connection; it never closes it."""

from __future__ import annotations

import asyncio

from hypha.hub.connection import Connection


class FrameRate:
    """Token bucket of one connection.

    Args:
        rate_per_s: frames per second in the long run.
        burst: frames that may come at once.
    """

    def __init__(self, rate_per_s: float, burst: float, loop: asyncio.AbstractEventLoop) -> None:
        self.rate_per_s = rate_per_s
        self.burst = max(burst, 1.0)
        self._loop = loop
        self._tokens = self.burst
        self._at = loop.time()
        self._paused = False

    def spend(self, connection: Connection) -> None:
        """Count one frame; stop reading for as long as the bucket is empty."""
        now = self._loop.time()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate_per_s) - 1.0
        self._at = now
        if self._tokens < 0 and not self._paused:
            self._paused = True
            connection.pause_reading()
            self._loop.call_later(min(-self._tokens / self.rate_per_s, 60.0), self._go_on, connection)

    def _go_on(self, connection: Connection) -> None:
        self._paused = False
        connection.resume_reading()
