"""Token buckets."""

from __future__ import annotations

from hypha.limits import Bucket, Buckets
from tests.kit.clock import Clock


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


def test_a_burst_passes_then_the_rate_holds() -> None:
    clock = Clock()
    buckets = Buckets(2.0, 3, clock=clock)
    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 0.0]
    assert buckets.take("a") == 0.5
    assert buckets.take("b") == 0.0
    clock.now += 0.5
    assert buckets.take("a") == 0.0
    assert buckets.take("a") > 0


def test_tokens_never_exceed_the_burst() -> None:
    clock = Clock()
    buckets = Buckets(10.0, 2, clock=clock)
    buckets.take("a")
    clock.now += 1000
    assert [buckets.take("a") > 0 for _ in range(3)] == [False, False, True]


def test_the_number_of_buckets_is_bounded() -> None:
    buckets = Buckets(1.0, 1, max_keys=10)
    for number in range(100):
        buckets.take(str(number))
    assert len(buckets) == 10


def test_zero_means_no_limit() -> None:
    buckets = Buckets(0, 0)
    assert all(buckets.take("a") == 0.0 for _ in range(1000))
    assert len(buckets) == 0


def test_nobody_gets_a_new_bucket_by_making_the_server_forget_the_old_one() -> None:
    now = 0.0
    buckets = Buckets(1.0, 2.0, clock=lambda: now, max_keys=10)
    for _ in range(3):
        buckets.take("blocked")
    assert buckets.take("blocked") > 0
    for number in range(1000):
        buckets.take(f"other-{number}")
    assert buckets.take("blocked") > 0, "it was not forgotten"
    assert buckets.take("newcomer") > 0, "newcomers share one while none is full again"
    assert len(buckets) == 10
    now = 100.0
    assert buckets.take("newcomer") == 0.0


def test_several_tokens_can_be_taken_at_once() -> None:
    buckets = Buckets(10.0, 100.0, clock=lambda: 0.0)
    assert buckets.take("a", 60.0) == 0.0
    assert buckets.take("a", 60.0) == 2.0
    bucket = buckets.get("a")
    assert bucket is not None and bucket.left(0.0) == 40


def test_a_time_that_was_read_before_the_bucket_was_made_owes_nothing() -> None:
    bucket = Bucket(1 / 60, 1, 10.0)
    assert bucket.wait_s(9.99) == 0.0 and bucket.try_take(9.99) == 0.0
    assert bucket.wait_s(10.0) == 60.0
