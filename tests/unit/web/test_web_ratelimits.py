"""Token buckets."""

from __future__ import annotations

from hypha.web.ratelimits import RequestLimits, TokenBuckets


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_then_the_rate_holds() -> None:
    clock = Clock()
    buckets = TokenBuckets(2.0, 3, clock=clock)
    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 0.0]
    assert buckets.take("a") == 0.5
    assert buckets.take("b") == 0.0
    clock.now += 0.5
    assert buckets.take("a") == 0.0
    assert buckets.take("a") > 0


def test_tokens_never_exceed_the_burst() -> None:
    clock = Clock()
    buckets = TokenBuckets(10.0, 2, clock=clock)
    buckets.take("a")
    clock.now += 1000
    assert [buckets.take("a") > 0 for _ in range(3)] == [False, False, True]


def test_the_number_of_buckets_is_bounded() -> None:
    buckets = TokenBuckets(1.0, 1, max_keys=10)
    for number in range(100):
        buckets.take(str(number))
    assert len(buckets) == 10


def test_zero_means_no_limit() -> None:
    buckets = TokenBuckets(0, 0)
    assert all(buckets.take("a") == 0.0 for _ in range(1000))
    assert len(buckets) == 0
    assert RequestLimits(buckets, buckets).is_off


def test_nobody_gets_a_new_bucket_by_making_the_server_forget_the_old_one() -> None:
    now = 0.0
    buckets = TokenBuckets(1.0, 2.0, clock=lambda: now, max_keys=10)
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
    buckets = TokenBuckets(10.0, 100.0, clock=lambda: 0.0)
    assert buckets.take("a", 60.0) == 0.0
    assert buckets.take("a", 60.0) == 2.0
    assert buckets.remaining("a") == 40
