"""Slowing down who is wrong too often."""

from __future__ import annotations

import pytest

from hypha.errors import RateLimited
from hypha.features.login.mistakes import Mistakes


def test_mistakes_run_out_and_come_back_with_time() -> None:
    now = [0.0]
    mistakes = Mistakes(3, 10.0, clock=lambda: now[0])
    for _ in range(3):
        mistakes.check("a")
        mistakes.note("a")
    with pytest.raises(RateLimited) as refused:
        mistakes.check("b", "a")
    assert refused.value.retry_after_s == pytest.approx(10.0)
    mistakes.check("b")
    now[0] = 10.1
    mistakes.check("a")


def test_memory_is_bounded() -> None:
    mistakes = Mistakes(3, 10.0, max_tracked=5)
    for number in range(50):
        mistakes.note(str(number))
    assert len(mistakes) == 5
