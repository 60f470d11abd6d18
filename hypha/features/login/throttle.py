"""Slows down who tries keys, tokens or passwords that are wrong."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from hypha.errors import RateLimited

MAX_TRACKED = 20_000


class Throttle:
    """Counts mistakes per subject (an address, a key); too many make it wait.

    `burst` mistakes are free, then one more each `every_s` seconds. Right answers cost nothing.
    The longest unused of `max_tracked` subjects are forgotten.
    """

    def __init__(
        self,
        burst: int,
        every_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        max_tracked: int = MAX_TRACKED,
    ) -> None:
        self._burst = burst
        self._every_s = every_s
        self._clock = clock
        self._max_tracked = max_tracked
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, *subjects: str) -> None:
        """Raise RateLimited if one of these subjects made too many mistakes lately."""
        for subject in subjects:
            excess = self._level(subject) - self._burst + 1
            if excess > 0:
                wait_s = excess * self._every_s
                raise RateLimited("Too many attempts. Please wait a moment.", retry_after_s=wait_s)

    def mistake(self, *subjects: str) -> None:
        """Count one mistake of each subject."""
        for subject in subjects:
            self._levels[subject] = (self._level(subject) + 1.0, self._clock())
            self._levels.move_to_end(subject)
        while len(self._levels) > self._max_tracked:
            self._levels.popitem(last=False)

    def _level(self, subject: str) -> float:
        level, since = self._levels.get(subject, (0.0, 0.0))
        return max(0.0, level - (self._clock() - since) / self._every_s)
