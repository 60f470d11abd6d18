"""Token buckets."""

from __future__ import annotations

from hypha.limits import Bucket


def test_tokens_may_be_taken_in_advance_and_have_to_come_back() -> None:
    bucket = Bucket(2.0, 3.0, 0.0)
    assert bucket.take(0.0, 5.0) == 1.0
    assert bucket.left(0.0) == -2.0 and bucket.left(1.0) == 0.0
    assert bucket.wait_s(1.0) == 0.5 and bucket.wait_s(1.5) == 0.0


def test_only_what_is_there_is_taken_on_trial() -> None:
    bucket = Bucket(2.0, 3.0, 0.0)
    assert bucket.try_take(0.0, 2.0) == 0.0
    assert bucket.try_take(0.0, 2.0) == 0.5 and bucket.left(0.0) == 1.0


def test_there_is_never_more_than_the_burst() -> None:
    bucket = Bucket(10.0, 2.0, 0.0)
    bucket.take(0.0)
    bucket.give_back(5.0)
    assert bucket.left(1000.0) == 2.0 and bucket.owed(1000.0) == 0.0


def test_what_is_owed_is_measured_by_the_burst_of_the_day() -> None:
    bucket = Bucket(1.0, 10.0, 0.0)
    bucket.take(0.0, 4.0)
    bucket.burst = 3.0
    assert bucket.left(0.0) == -1.0 and bucket.wait_s(0.0) == 2.0


def test_rounding_makes_nobody_wait_longer() -> None:
    for most in range(2, 12):
        bucket = Bucket(most / 600.0, most, 1234.567)
        bucket.take(1234.567, most)
        assert bucket.wait_s(1234.567 + bucket.wait_s(1234.567)) == 0.0
