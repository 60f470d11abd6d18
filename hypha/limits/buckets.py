"""Token buckets: so much at once, and so much per second in the long run."""

from __future__ import annotations

import time
from collections.abc import Callable

from hypha.limits.bounded_map import BoundedMap

MAX_TRACKED = 20_000
_ROUNDING = 1e-9


class Bucket:
    """Tokens that come back at a rate; `now` is a clock in seconds that never goes back.

    It keeps what is owed, so `rate_per_s` and `burst` may change while it is in use.

    Args:
        rate_per_s: tokens that come back each second. burst: how many there are at most, at least one.
    """

    __slots__ = ("_at", "_owed", "burst", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: float, now: float) -> None:
        self.rate_per_s = rate_per_s
        self.burst = max(burst, 1.0)
        self._owed = 0.0
        self._at = now

    def owed(self, now: float) -> float:
        """Tokens that have been taken and have not come back."""
        passed_s = now - self._at
        if passed_s <= 0.0:  # `now` was read before the bucket was last used
            return self._owed
        owed = self._owed - passed_s * self.rate_per_s
        return owed if owed > 0.0 else 0.0

    def left(self, now: float) -> float:
        """Tokens that are there; below zero: taken in advance."""
        return self.burst - self.owed(now)

    def wait_s(self, now: float, tokens: float = 1.0) -> float:
        """Seconds until so many tokens are there; 0.0 if they are."""
        missing = self.owed(now) + tokens - self.burst
        return missing / self.rate_per_s if missing > _ROUNDING else 0.0

    def take(self, now: float, tokens: float = 1.0) -> float:
        """Take tokens even if they are not there; return the seconds until none is taken in advance."""
        owed = self._owed = self.owed(now) + tokens
        self._at = max(self._at, now)
        return (owed - self.burst) / self.rate_per_s if owed > self.burst else 0.0

    def try_take(self, now: float, tokens: float = 1.0) -> float:
        """Take tokens if they are there; return 0.0, or the seconds until they will be."""
        owed = self.owed(now) + tokens
        if owed - self.burst > _ROUNDING:
            return (owed - self.burst) / self.rate_per_s
        self._owed = owed
        if now > self._at:
            self._at = now
        return 0.0

    def take_one(self, now: float) -> tuple[float, int]:
        """`try_take` one token; what that returns, and how many whole ones are left then."""
        wait_s = self.try_take(now)
        return wait_s, 0 if wait_s else max(0, int(self.burst - self._owed))

    def give_back(self, tokens: float = 1.0) -> None:
        """Undo a `take`."""
        self._owed = max(0.0, self._owed - tokens)


class Buckets:
    """One bucket for each key, all of one rate; those that are full may be forgotten.

    Nobody gets a new bucket by making the server forget an old one: while `max_keys` are kept and none of
    them is full, newcomers share one.

    Args:
        rate_per_s: tokens per second; 0: no limit, and nothing is kept.
    """

    def __init__(
        self,
        rate_per_s: float,
        burst: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        max_keys: int = MAX_TRACKED,
    ) -> None:
        self.rate_per_s = rate_per_s
        self.burst = max(burst, 1.0)
        self._clock = clock
        self._kept: BoundedMap[str, Bucket] = BoundedMap(max_keys, may_go=self._is_full)
        self._shared = Bucket(rate_per_s, burst, clock())

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str) -> Bucket | None:
        """The bucket of a key, if it has one."""
        return self._kept.get(key)

    def of(self, key: str) -> Bucket:
        """The bucket from which a key takes."""
        bucket = self._kept.use(key)
        if bucket is None:
            if not self._kept.has_room():
                return self._shared
            bucket = Bucket(self.rate_per_s, self.burst, self._clock())
            self._kept.put(key, bucket)
        return bucket

    def _is_full(self, bucket: Bucket) -> bool:
        return not bucket.owed(self._clock())

    def take(self, key: str, tokens: float = 1.0) -> float:
        """Take tokens, at most `burst`; return 0.0, or the seconds after which there will be so many."""
        return self.of(key).try_take(self._clock(), tokens) if self.rate_per_s > 0 else 0.0

    def take_one(self, key: str) -> tuple[float, int]:
        """`take` one token; what that returns, and how many are left then."""
        return self.of(key).take_one(self._clock()) if self.rate_per_s > 0 else (0.0, int(self.burst))
