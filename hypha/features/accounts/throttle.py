"""Slowing down those who guess: attempts counted per account and per address."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hypha.errors import RateLimited
from hypha.limits import BoundedMap, Bucket

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
        self._buckets: BoundedMap[str, Bucket] = BoundedMap(max_keys)

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, wanted: Iterable[tuple[str, Allowance]]) -> None:
        """Take one attempt of every key, or of none.

        Raises:
            RateLimited: one of them has none left; it says for how long.
        """
        now = self._clock()
        buckets = {key: self._bucket(key, allowance, now) for key, allowance in wanted}
        wait_s = max((bucket.wait_s(now) for bucket in buckets.values()), default=0.0)
        if wait_s > 0:
            seconds = math.ceil(wait_s)
            raise RateLimited(
                f"Too many attempts. Please wait {seconds}s before trying again.", retry_after_s=seconds
            )
        for key, bucket in buckets.items():
            bucket.take(now)
            self._buckets.put(key, bucket)

    def is_used_up(self, key: str, allowance: Allowance) -> bool:
        """Whether a key has no attempt left."""
        now = self._clock()
        return self._bucket(key, allowance, now).wait_s(now) > 0

    def count(self, key: str, allowance: Allowance) -> None:
        """Take one attempt of a key, or what is left of one, and refuse nothing."""
        now = self._clock()
        bucket = self._bucket(key, allowance, now)
        bucket.take(now, min(1.0, bucket.left(now)))
        self._buckets.put(key, bucket)

    def give_back(self, keys: Iterable[str]) -> None:
        """The attempt was no guess: it does not count."""
        for key in keys:
            bucket = self._buckets.get(key)
            if bucket is not None:
                bucket.give_back()

    def _bucket(self, key: str, allowance: Allowance, now: float) -> Bucket:
        """What a key has taken, measured by what it may now; a new one is not kept yet."""
        rate_per_s = allowance.attempts / allowance.within_s
        bucket = self._buckets.get(key)
        if bucket is None:
            return Bucket(rate_per_s, allowance.attempts, now)
        bucket.rate_per_s, bucket.burst = rate_per_s, float(allowance.attempts)
        return bucket
