"""One timer for all clients: it runs only while there is something to watch.

So an idle server does nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from hypha.clock import Clock, Timer

logger = logging.getLogger(__name__)

QUICK_S = 0.1
"""Its pace while a client is held or choked, or the outcome of a call is open."""


class Pulse:
    """Runs the sweeps of the hub's parts.

    Args:
        slow_s: its pace while nothing but frames without proof of arrival is watched.
    """

    def __init__(self, clock: Clock, slow_s: float) -> None:
        self.slow_s = slow_s
        self._clock = clock
        self._sweeps: list[Callable[[float], None]] = []
        """What is done at each beat, in order."""
        self._timer: Timer | None = None
        """The next beat; None while nothing is watched."""
        self._is_quick = False
        """Whether the next beat is a quick one."""

    def add(self, sweep: Callable[[float], None]) -> None:
        """Call this at each beat with the time; it asks for the next beat if it has to be called again."""
        self._sweeps.append(sweep)

    def watch(self) -> None:
        """Beat before long, at the slow pace."""
        if self._timer is None:
            self._timer = self._clock.call_later(self.slow_s, self.beat)

    def wake(self) -> None:
        """Beat soon, at the quick pace."""
        if self._timer is None or not self._is_quick:
            if self._timer is not None:
                self._timer.cancel()
            self._is_quick = True
            self._timer = self._clock.call_later(QUICK_S, self.beat)

    def beat(self) -> None:
        """Call all sweeps; one that fails keeps no other from running."""
        self._timer = None
        self._is_quick = False
        now = self._clock.time()
        for sweep in self._sweeps:
            try:
                sweep(now)
            except Exception:
                logger.exception("A sweep of the hub failed; it goes on")
                self.wake()

    def stop(self) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
