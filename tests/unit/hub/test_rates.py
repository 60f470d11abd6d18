"""Rates of users and workspaces."""

from __future__ import annotations

from hypha.hub.rates import RateLimits, Rates
from hypha.settings import Settings


def limits(**options: float) -> RateLimits:
    return RateLimits.from_settings(Settings(**options))  # type: ignore[arg-type]


def test_nothing_is_kept_while_no_limit_is_set() -> None:
    rates = Rates(limits(), lambda: 0.0)
    assert rates.meters_of("u", "w") is None
    assert rates.try_take("u", "w", 10) == 0.0
    assert len(rates) == 0 and rates.usage("u", "w") == []


def test_connections_of_a_user_share_their_bucket_and_other_users_have_their_own() -> None:
    now = [0.0]
    rates = Rates(limits(user_call_rate_limit=10, rate_burst_s=1), lambda: now[0])
    meters = rates.meters_of("u", "w1")
    assert meters is not None and len(meters.frames) == 1 and not meters.volume
    assert rates.meters_of("u", "w2") == meters
    assert rates.meters_of("v", "w1") != meters
    assert [meters.take(0.0, 100) for _ in range(10)] == [0.0] * 10
    assert meters.take(0.0, 100) == 0.1
    assert rates.try_take("u", "w", 1) == 0.2
    now[0] = 1.0
    assert rates.try_take("u", "w", 1) == 0.0
    assert rates.usage("u", "w") == [
        {"of": "user", "unit": "calls", "per_second": 10, "burst": 10, "remaining": 8}
    ]


def test_bytes_are_counted_by_size_and_may_be_overdrawn_once() -> None:
    rates = Rates(limits(workspace_byte_rate_limit=1000, rate_burst_s=2), lambda: 0.0)
    meters = rates.meters_of("u", "w")
    assert meters is not None and not meters.frames
    assert meters.take(0.0, 5000) == 3.0
    assert meters.volume[0].left(3.0) == 0.0
