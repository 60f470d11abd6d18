"""Limits on requests per second, per client address or per authenticated user."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from hypha.settings import Settings

MAX_TRACKED = 20_000


class TokenBuckets:
    """One token bucket per key, of which the least recently used are forgotten.

    `rate_per_s` tokens come back each second up to `burst`; a rate of 0 means no limit. At most
    `max_keys` buckets are kept, so that memory stays bounded whoever calls.
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
        self.burst = max(1.0, burst)
        self._clock = clock
        self._max_keys = max_keys
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str) -> float:
        """Take one token; return 0.0, or the seconds after which there will be one."""
        if self.rate_per_s <= 0:
            return 0.0
        now = self._clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            tokens = self.burst
            if len(self._buckets) >= self._max_keys:
                self._buckets.popitem(last=False)
        else:
            tokens = min(self.burst, bucket[0] + (now - bucket[1]) * self.rate_per_s)
            self._buckets.move_to_end(key)
        if tokens < 1.0:
            self._buckets[key] = (tokens, now)
            return (1.0 - tokens) / self.rate_per_s
        self._buckets[key] = (tokens - 1.0, now)
        return 0.0

    def remaining(self, key: str) -> int:
        """Tokens that are left, without taking one."""
        tokens, at = self._buckets.get(key, (self.burst, 0.0))
        return max(0, int(min(self.burst, tokens + (self._clock() - at) * self.rate_per_s)))


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The two limits of core-api 5.4: strangers by address, users by their id."""

    by_address: TokenBuckets
    by_user: TokenBuckets

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """What the operator has set."""
        return cls(
            TokenBuckets(settings.http_rate_limit, settings.http_burst_limit),
            TokenBuckets(settings.http_authenticated_rate_limit, settings.http_authenticated_burst_limit),
        )

    @property
    def is_off(self) -> bool:
        """True when neither limit is set."""
        return self.by_address.rate_per_s <= 0 and self.by_user.rate_per_s <= 0
