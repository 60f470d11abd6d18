"""Rates of users and workspaces: calls and bytes per second, shared by all connections of each.

Off by default, and then nothing of this is looked at per frame. Over a limit a connection is read
more slowly, and an HTTP call is refused with the time after which to come back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from hypha.limits import MAX_TRACKED, Bucket, Buckets

if TYPE_CHECKING:
    from hypha.settings import Settings


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Frames and bytes per second; 0 is no limit."""

    user_calls_per_s: float
    user_bytes_per_s: float
    workspace_calls_per_s: float
    workspace_bytes_per_s: float
    burst_s: float
    """What may come at once, in seconds' worth of each rate."""

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


class Meters(NamedTuple):
    """The buckets from which frames take; each of them from all."""

    frames: tuple[Bucket, ...] = ()
    """One token for each frame."""
    volume: tuple[Bucket, ...] = ()
    """One token for each of its bytes."""

    def take(self, now: float, size: int) -> float:
        """Take a frame of so many bytes; return 0.0, or the seconds to wait before the next one."""
        wait_s = 0.0
        for bucket in self.frames:
            wait_s = max(wait_s, bucket.take(now))
        for bucket in self.volume:
            wait_s = max(wait_s, bucket.take(now, size))
        return wait_s

    def wait_s(self, now: float) -> float:
        """Seconds after which something may be taken again."""
        return max((bucket.wait_s(now) for bucket in (*self.frames, *self.volume)), default=0.0)


class Rates:
    """The buckets of users and workspaces; those that are full again may be forgotten.

    Who owes something keeps its buckets, however many others come; newcomers share some meanwhile.
    """

    def __init__(self, limits: RateLimits, time: Callable[[], float], max_tracked: int = MAX_TRACKED) -> None:
        self.limits = limits
        self.time = time
        self._max_tracked = max_tracked // 2  # of users, and of workspaces
        self._calls = self._buckets(limits.user_calls_per_s, limits.workspace_calls_per_s)
        """Buckets of frames, by `user` and `workspace`."""
        self._bytes = self._buckets(limits.user_bytes_per_s, limits.workspace_bytes_per_s)
        """The same of bytes."""

    def _buckets(self, per_user: float, per_workspace: float) -> dict[str, Buckets]:
        return {
            kind: Buckets(per_s, per_s * self.limits.burst_s, clock=self.time, max_keys=self._max_tracked)
            for kind, per_s in (("user", per_user), ("workspace", per_workspace))
        }

    def __len__(self) -> int:
        return sum(max(len(self._calls[kind]), len(self._bytes[kind])) for kind in self._calls)

    def meters_of(self, user_id: str, workspace: str) -> Meters | None:
        """The buckets from which a user's frames in a workspace take; None when no limit is set."""
        if self.limits.is_off:
            return None
        whose = (("user", user_id), ("workspace", workspace))
        calls, volume = (
            tuple(found[kind].of(name) for kind, name in whose if found[kind].rate_per_s > 0)
            for found in (self._calls, self._bytes)
        )
        return Meters(calls, volume)

    def try_take(self, user_id: str, workspace: str, size: int) -> float:
        """Take one request, unless it has to wait; then return the seconds and take nothing."""
        meters = self.meters_of(user_id, workspace)
        if meters is None:
            return 0.0
        now = self.time()
        wait_s = meters.wait_s(now)
        if not wait_s:
            meters.take(now, size)
        return wait_s

    def charge(self, user_id: str, workspace: str, size: int) -> None:
        """Take bytes of a request that was let in before its size was known."""
        meters = self.meters_of(user_id, workspace)
        for bucket in meters.volume if meters is not None else ():
            bucket.take(self.time(), size)

    def usage(self, user_id: str, workspace: str) -> list[dict[str, Any]]:
        """What is left of the limits in force, for the user to see."""
        now, shown = self.time(), []
        for kind, name in (("user", user_id), ("workspace", workspace)):
            for unit, found in (("calls", self._calls), ("bytes", self._bytes)):
                bucket = found[kind].get(name)
                if bucket is not None:
                    shown.append(
                        {
                            "of": kind,
                            "unit": unit,
                            "per_second": bucket.rate_per_s,
                            "burst": bucket.burst,
                            "remaining": max(0, int(bucket.left(now))),
                        }
                    )
        return shown
