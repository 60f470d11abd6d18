"""Slows down who tries keys, tokens or passwords that are wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

from hypha.errors import RateLimited
from hypha.limits import MAX_TRACKED, BoundedMap, Bucket


class Mistakes:
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
        self._made: BoundedMap[str, Bucket] = BoundedMap(max_tracked)

    def __len__(self) -> int:
        return len(self._made)

    def check(self, *subjects: str) -> None:
        """Raise RateLimited if one of these subjects made too many mistakes lately."""
        for subject in subjects:
            made = self._made.get(subject)
            wait_s = made.wait_s(self._clock()) if made is not None else 0.0
            if wait_s:
                raise RateLimited("Too many attempts. Please wait a moment.", retry_after_s=wait_s)

    def note(self, *subjects: str) -> None:
        """Count one mistake of each subject."""
        now = self._clock()
        for subject in subjects:
            made = self._made.get(subject) or Bucket(1.0 / self._every_s, self._burst, now)
            made.take(now)
            self._made.put(subject, made)
