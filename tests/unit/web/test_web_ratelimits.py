"""Limits on requests per second."""

from __future__ import annotations

from hypha.settings import Settings
from hypha.web.ratelimits import RequestLimits


def test_strangers_and_users_have_the_rates_that_the_operator_set() -> None:
    limits = RequestLimits.from_settings(Settings(http_rate_limit=2.0, http_authenticated_burst_limit=7))
    assert limits.by_address.rate_per_s == 2.0 and limits.by_user.burst == 7.0
    assert not limits.is_off


def test_without_rates_nothing_is_limited() -> None:
    assert RequestLimits.from_settings(Settings(http_rate_limit=0, http_authenticated_rate_limit=0)).is_off
