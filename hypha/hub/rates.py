"""Rates of users and workspaces: calls and bytes per second, shared by all connections of each.

Off by default, and then nothing of this is looked at per frame. Over a limit a connection is read
more slowly, and an HTTP call is refused with the time after which to come back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from hypha.settings import Settings

MAX_TRACKED = 20_000
_LOOKS = 4
_SHARED = ""
"""The name of the buckets of whoever comes while none may be forgotten."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Frames and bytes per second; 0 is no limit. `burst_s` seconds' worth may come at once."""

    user_calls_per_s: float = 0.0
    user_bytes_per_s: float = 0.0
    workspace_calls_per_s: float = 0.0
    workspace_bytes_per_s: float = 0.0
    burst_s: float = 5.0

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """What the operator has set."""
        return cls(
            settings.user_call_rate_limit,
            settings.user_byte_rate_limit,
            settings.workspace_call_rate_limit,
            settings.workspace_byte_rate_limit,
            settings.rate_burst_s,
        )

    @property
    def is_off(self) -> bool:
        """True when none is set."""
        return not any(
            (
                self.user_calls_per_s,
                self.user_bytes_per_s,
                self.workspace_calls_per_s,
                self.workspace_bytes_per_s,
            )
        )


class Bucket:
    """A token bucket that may be overdrawn: who takes too much waits until it is paid back."""

    __slots__ = ("_at", "_tokens", "burst", "is_bytes", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: float, now: float, *, is_bytes: bool = False) -> None:
        self.rate_per_s = rate_per_s
        self.burst = max(burst, 1.0)
        self.is_bytes = is_bytes
        self._tokens = self.burst
        self._at = now

    def level(self, now: float) -> float:
        """Tokens that are left; below zero: owed."""
        return min(self.burst, self._tokens + (now - self._at) * self.rate_per_s)

    def take(self, now: float, size: int) -> float:
        """Take one frame of `size` bytes; return 0.0, or the seconds to wait before the next one."""
        self._tokens = self.level(now) - (size if self.is_bytes else 1.0)
        self._at = now
        return -self._tokens / self.rate_per_s if self._tokens < 0 else 0.0

    def wait_s(self, now: float) -> float:
        """Seconds after which something may be taken again, without taking."""
        level = self.level(now)
        return (1.0 - level) / self.rate_per_s if level < 1.0 else 0.0


class Rates:
    """The buckets of users and workspaces; those that are full again may be forgotten."""

    def __init__(self, limits: RateLimits, time: Callable[[], float]) -> None:
        self.limits = limits
        self.time = time
        self._buckets: OrderedDict[tuple[str, str], tuple[Bucket, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def buckets_of(self, user_id: str, workspace: str) -> tuple[Bucket, ...]:
        """The buckets from which a user's frames in a workspace take; none when no limit is set."""
        if self.limits.is_off:
            return ()
        limits = self.limits
        return (
            *self._of("user", user_id, limits.user_calls_per_s, limits.user_bytes_per_s),
            *self._of("workspace", workspace, limits.workspace_calls_per_s, limits.workspace_bytes_per_s),
        )

    def _of(self, kind: str, name: str, calls: float, volume: float) -> tuple[Bucket, ...]:
        if calls <= 0 and volume <= 0:
            return ()
        key = (kind, name)
        known = self._buckets.get(key)
        if known is not None:
            self._buckets.move_to_end(key)
            return known
        now, burst_s = self.time(), self.limits.burst_s
        made = []
        if calls > 0:
            made.append(Bucket(calls, calls * burst_s, now))
        if volume > 0:
            made.append(Bucket(volume, volume * burst_s, now, is_bytes=True))
        if not self._has_room(now):
            return self._buckets.setdefault((kind, _SHARED), tuple(made))
        self._buckets[key] = tuple(made)
        return self._buckets[key]

    def _has_room(self, now: float) -> bool:
        """Whether there is room for newcomers' buckets; some used longest ago are forgotten if they are full.

        Who owes something keeps its buckets, however many others come; newcomers share some meanwhile.
        """
        if len(self._buckets) < MAX_TRACKED:
            return True
        for _ in range(_LOOKS):
            oldest, buckets = next(iter(self._buckets.items()))
            if all(bucket.level(now) >= bucket.burst for bucket in buckets):
                del self._buckets[oldest]
                return True
            self._buckets.move_to_end(oldest)
        return False

    def try_take(self, user_id: str, workspace: str, size: int) -> float:
        """Take one request, unless it has to wait; then return the seconds and take nothing."""
        buckets = self.buckets_of(user_id, workspace)
        now = self.time()
        wait_s = max((bucket.wait_s(now) for bucket in buckets), default=0.0)
        if not wait_s:
            for bucket in buckets:
                bucket.take(now, size)
        return wait_s

    def charge(self, user_id: str, workspace: str, size: int) -> None:
        """Take bytes of a request that was let in before its size was known."""
        now = self.time()
        for bucket in self.buckets_of(user_id, workspace):
            if bucket.is_bytes:
                bucket.take(now, size)

    def usage(self, user_id: str, workspace: str) -> list[dict[str, Any]]:
        """What is left of the limits in force, for the user to see."""
        now, shown = self.time(), []
        if not self.limits.is_off:
            for kind, name in (("user", user_id), ("workspace", workspace)):
                for bucket in self._buckets.get((kind, name), ()):
                    unit = "bytes" if bucket.is_bytes else "calls"
                    shown.append(
                        {
                            "of": kind,
                            "unit": unit,
                            "per_second": bucket.rate_per_s,
                            "burst": bucket.burst,
                            "remaining": max(0, int(bucket.level(now))),
                        }
                    )
        return shown
