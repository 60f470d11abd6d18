"""Slowing down who is wrong too often."""

from __future__ import annotations

import pytest

from hypha.errors import RateLimited
from hypha.features.login.throttle import Throttle


def test_mistakes_run_out_and_come_back_with_time() -> None:
    now = [0.0]
    throttle = Throttle(3, 10.0, clock=lambda: now[0])
    for _ in range(3):
        throttle.check("a")
        throttle.mistake("a")
    with pytest.raises(RateLimited) as refused:
        throttle.check("b", "a")
    assert refused.value.retry_after_s == pytest.approx(10.0)
    throttle.check("b")
    now[0] = 10.1
    throttle.check("a")


def test_memory_is_bounded() -> None:
    throttle = Throttle(3, 10.0, max_tracked=5)
    for number in range(50):
        throttle.mistake(str(number))
    assert len(throttle._levels) == 5
