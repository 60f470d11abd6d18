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


_LOOKS = 4
_SHARED = ""
"""The bucket of whoever comes while none may be forgotten."""


class TokenBuckets:
    """One token bucket per key, of which those that are full again are forgotten.

    `rate_per_s` tokens come back each second up to `burst`; a rate of 0 means no limit. At most
    `max_keys` buckets are kept, so that memory stays bounded whoever calls. Nobody gets a new bucket by
    making the server forget an old one: while none is full, newcomers share one.
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

    def take(self, key: str, tokens: float = 1.0) -> float:
        """Take tokens, at most `burst`; return 0.0, or the seconds after which there will be so many."""
        if self.rate_per_s <= 0:
            return 0.0
        now = self._clock()
        if key not in self._buckets and not self._has_room(now):
            key = _SHARED
        level = self._level(key, now)
        wait_s = 0.0
        if level < tokens:
            wait_s = (tokens - level) / self.rate_per_s
        else:
            level -= tokens
        self._buckets[key] = (level, now)
        self._buckets.move_to_end(key)
        return wait_s

    def remaining(self, key: str) -> int:
        """Tokens that are left, without taking one."""
        is_shared = key not in self._buckets and _SHARED in self._buckets
        return max(0, int(self._level(_SHARED if is_shared else key, self._clock())))

    def _level(self, key: str, now: float) -> float:
        tokens, at = self._buckets.get(key, (self.burst, now))
        return min(self.burst, tokens + (now - at) * self.rate_per_s)

    def _has_room(self, now: float) -> bool:
        """Whether there is room for a newcomer; one of those used longest ago is forgotten if it is full."""
        if len(self._buckets) < self._max_keys - (_SHARED not in self._buckets):
            return True
        for _ in range(_LOOKS):
            oldest = next(iter(self._buckets))
            if self._level(oldest, now) >= self.burst:
                del self._buckets[oldest]
                return True
            self._buckets.move_to_end(oldest)
        return False


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The two limits of HTTP requests: strangers by address, users by their id."""

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
