"""Large bodies: each caller has a share, and strangers together leave room for the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest

from hypha.errors import RateLimited
from hypha.limits import Party
from hypha.web.workbench import Holding, Workbench, WorkLimits

STRANGER, OTHER = Party("203.0.113.7", is_stranger=True), Party("203.0.113.8", is_stranger=True)
ANNA = Party("anna", is_stranger=False)
LIMITS = WorkLimits(
    caller_bytes=100, strangers_bytes=250, total_bytes=400, stranger_rate=0.25, user_rate=1.0, burst_s=2.0,
    waiting=3, wait_s=0.2,
)  # fmt: skip


class Clocks:
    """Time of the wall and of the processor, which the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.cpu = 0.0


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
async def bench(clocks: Clocks) -> AsyncIterator[Workbench]:
    made = Workbench(LIMITS, lambda: clocks.now, lambda: clocks.cpu)
    yield made
    made.close()


def holding(bench: Workbench, party: Party) -> Holding:
    return bench.holding(party)


async def test_a_caller_waits_for_its_own_bodies_and_nobody_elses(bench: Workbench) -> None:
    first, second, others = holding(bench, STRANGER), holding(bench, STRANGER), holding(bench, OTHER)
    await first.grow(80)
    waiting = asyncio.create_task(second.grow(80))
    await others.grow(80)
    await asyncio.sleep(0)
    assert not waiting.done()
    first.shrink(20)
    await waiting
    assert (bench.held.used, bench.strangers_held.used) == (180, 180)
    for item in (first, second, others):
        item.shrink(0)
    assert (bench.held.used, bench.strangers_held.used) == (0, 0)


async def test_who_holds_nothing_may_hold_more_than_a_share(bench: Workbench) -> None:
    with closing(holding(bench, STRANGER)) as large:
        await large.grow(240)
        assert large.size == 240
    assert bench.held.used == 0


async def test_strangers_leave_room_for_those_who_are_signed_in(bench: Workbench) -> None:
    for number in range(10):
        with pytest.raises(RateLimited) if number >= 3 else _nothing():
            await holding(bench, Party(str(number), is_stranger=True)).grow(80)
    assert bench.strangers_held.used == 240
    await holding(bench, ANNA).grow(100)


class _nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


async def test_a_wait_has_an_end_and_says_when_to_come_back(bench: Workbench) -> None:
    await holding(bench, STRANGER).grow(100)
    with pytest.raises(RateLimited, match="Try again") as caught:
        await holding(bench, STRANGER).grow(50)
    assert caught.value.retry_after_s == 0.2


async def test_few_bodies_of_a_caller_wait(bench: Workbench) -> None:
    await holding(bench, STRANGER).grow(100)
    waiting = [asyncio.create_task(holding(bench, STRANGER).grow(10)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited, match="wait already"):
        await holding(bench, STRANGER).grow(10)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [RateLimited] * 3


async def test_a_request_that_is_given_up_leaves_nothing_behind(bench: Workbench) -> None:
    first, second = holding(bench, STRANGER), holding(bench, STRANGER)
    await first.grow(100)
    waiting = asyncio.create_task(second.grow(60))
    await asyncio.sleep(0)
    first.shrink(0)  # gives the room to the one that waits
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert bench.held.used == 0
    await holding(bench, STRANGER).grow(100)


async def test_work_that_is_given_up_is_paid_for(bench: Workbench, clocks: Clocks) -> None:
    begun, go_on, done = threading.Event(), threading.Event(), list[str]()

    def job(name: str, cost_s: float) -> None:
        begun.set()
        go_on.wait(10)
        clocks.cpu += cost_s
        done.append(name)

    stranger, others = holding(bench, STRANGER), holding(bench, OTHER)
    working = asyncio.create_task(stranger.work(lambda: job("first", 2.5)))
    await asyncio.to_thread(begun.wait, 10)
    queued = asyncio.create_task(others.work(lambda: job("never", 2.5)))
    for _ in range(5):
        await asyncio.sleep(0)
    for given_up in (working, queued):
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
    following = asyncio.create_task(stranger.work(lambda: job("second", 0.0)))
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(RateLimited):  # it gets its turn when the thread is done, and cannot pay for it
        await following
    await others.work(lambda: job("third", 0.0))  # what a thread has not begun costs nothing
    assert done == ["first", "third"]


async def test_work_is_paid_for_and_waits_until_it_is(bench: Workbench, clocks: Clocks) -> None:
    def job(cost_s: float) -> float:
        clocks.cpu += cost_s
        return cost_s

    stranger = holding(bench, STRANGER)
    assert await stranger.work(lambda: job(2.5)) == 2.5  # half a second more than there was
    with pytest.raises(RateLimited) as caught:
        await stranger.work(lambda: job(1.0))
    assert caught.value.retry_after_s == pytest.approx(2.0, abs=0.1)
    assert await holding(bench, OTHER).work(lambda: job(0.1)) == 0.1
    assert await holding(bench, ANNA).work(lambda: job(0.1)) == 0.1
    clocks.now += 2.1
    assert await stranger.work(lambda: job(0.1)) == 0.1


async def test_a_job_that_fails_is_paid_for_too(bench: Workbench, clocks: Clocks) -> None:
    def job() -> Any:
        clocks.cpu += 10
        raise ValueError("bad body")

    with pytest.raises(ValueError, match="bad body"):
        await holding(bench, STRANGER).work(job)
    with pytest.raises(RateLimited):
        await holding(bench, STRANGER).work(job)


async def test_one_body_of_a_caller_is_worked_on_at_a_time(bench: Workbench) -> None:
    order: list[str] = []
    jobs = [
        holding(bench, party).work(lambda name=name: order.append(name))  # type: ignore[misc]
        for party, name in [(STRANGER, "a"), (STRANGER, "b"), (STRANGER, "c"), (OTHER, "x")]
    ]
    await asyncio.gather(*jobs)
    assert order.index("x") <= 1
    assert [name for name in order if name != "x"] == ["a", "b", "c"]


async def test_accounts_are_forgotten_when_there_are_many() -> None:
    bench = Workbench(LIMITS, max_tracked=10)
    with closing(holding(bench, ANNA)) as kept:
        await kept.grow(1)
        for number in range(100):
            with closing(holding(bench, Party(str(number), is_stranger=True))) as one:
                await one.grow(1)
        assert len(bench._accounts) <= 11
    assert bench.held.used == 0
