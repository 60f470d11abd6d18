"""Limits on requests per second, per client address or per authenticated user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from hypha.limits import Buckets

if TYPE_CHECKING:
    from hypha.settings import Settings


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The two limits of HTTP requests: strangers by address, users by their id."""

    by_address: Buckets
    by_user: Buckets

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """What the operator has set."""
        return cls(
            Buckets(settings.http_rate_limit, settings.http_burst_limit),
            Buckets(settings.http_authenticated_rate_limit, settings.http_authenticated_burst_limit),
        )

    @property
    def is_off(self) -> bool:
        """True when neither limit is set."""
        return self.by_address.rate_per_s <= 0 and self.by_user.rate_per_s <= 0
