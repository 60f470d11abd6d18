"""Slowing down those who guess: attempts counted per account and per address."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hypha.errors import RateLimited

MAX_TRACKED = 50_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many attempts at once, all of which come back evenly over a time."""

    attempts: int
    within_s: float


class Throttle:
    """Attempts left per key, kept for the process in bounded memory.

    An attempt is taken before it is tried, so that many at once gain nothing, and given back
    when it turns out to be honest. When memory is full the key longest unused is forgotten.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, max_keys: int = MAX_TRACKED) -> None:
        self._clock = clock
        self._max_keys = max_keys
        self._used: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._used)

    def take(self, wanted: Iterable[tuple[str, Allowance]]) -> None:
        """Take one attempt of every key, or of none.

        Raises:
            RateLimited: one of them has none left; it says for how long.
        """
        now = self._clock()
        pairs = list(wanted)
        waits = [self._wait(key, allowance, now) for key, allowance in pairs]
        wait_s = max(waits, default=0.0)
        if wait_s > 0:
            seconds = math.ceil(wait_s)
            raise RateLimited(
                f"Too many attempts. Please wait {seconds}s before trying again.", retry_after_s=seconds
            )
        for key, allowance in pairs:
            self._add(key, self._spent(key, allowance, now) + 1.0, now)

    def is_used_up(self, key: str, allowance: Allowance) -> bool:
        """Whether a key has no attempt left."""
        return self._wait(key, allowance, self._clock()) > 0

    def count(self, key: str, allowance: Allowance) -> None:
        """Take one attempt of a key if it has one left, and refuse nothing."""
        now = self._clock()
        self._add(key, min(self._spent(key, allowance, now) + 1.0, float(allowance.attempts)), now)

    def _add(self, key: str, spent: float, now: float) -> None:
        self._used[key] = (spent, now)
        self._used.move_to_end(key)
        while len(self._used) > self._max_keys:
            self._used.popitem(last=False)

    def give_back(self, keys: Iterable[str]) -> None:
        """The attempt was no guess: it does not count."""
        for key in keys:
            kept = self._used.get(key)
            if kept is not None:
                self._used[key] = (max(0.0, kept[0] - 1.0), kept[1])

    def _spent(self, key: str, allowance: Allowance, now: float) -> float:
        spent, since = self._used.get(key, (0.0, now))
        return max(0.0, spent - (now - since) * allowance.attempts / allowance.within_s)

    def _wait(self, key: str, allowance: Allowance, now: float) -> float:
        missing = self._spent(key, allowance, now) + 1.0 - allowance.attempts
        return 0.0 if missing <= 1e-9 else missing * allowance.within_s / allowance.attempts
