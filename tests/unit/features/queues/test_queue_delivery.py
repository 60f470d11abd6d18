"""Order, leases, limits and waiting of the queues, with a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hypha.errors import FrameTooLarge, InvalidRequest, NotFound, QuotaExceeded
from hypha.features.queues import delivery as delivery_module
from hypha.store import Store
from hypha.store.usage import Quota
from tests.kit.quick import Watch, check_quick
from tests.unit.features.queues.lab import Lab, caller


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with Store(":memory:") as store:
        yield Lab(store)


async def test_a_look_at_large_tasks_is_bounded_in_bytes_and_shows_one_at_least(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    me, queue = caller(), lab.service
    for number in range(5):
        await queue.push("jobs", [number, bytes(3_000_000)], context=me)
    await queue.push("jobs", "small", context=me)

    async def numbers(n: int) -> list[int]:
        return [task[0] for task in await queue.peek("jobs", n, context=me)]

    monkeypatch.setattr(delivery_module, "MAX_PEEK_BYTES", 10_000_000)
    assert await numbers(1000) == [0, 1, 2]
    assert await numbers(2) == [0, 1]
    monkeypatch.setattr(delivery_module, "MAX_PEEK_BYTES", 1)
    assert await numbers(1000) == [0]
    await queue.pop("jobs", 0, lease=60, context=me)
    assert await numbers(1000) == [1]
    monkeypatch.setattr(delivery_module, "MAX_PEEK_BYTES", 16 * 1024 * 1024)
    assert len(await queue.peek("jobs", 1000, context=me)) == 5
    assert await queue.peek("empty", 1000, context=me) == []


async def test_tasks_come_out_in_the_order_in_which_they_came(lab: Lab) -> None:
    me, queue = caller(), lab.service
    for task in (1, {"b": b"\x00", "3": None}, ["x"]):
        await queue.push("jobs", task, context=me)
    assert await queue.peek("jobs", 2, context=me) == [1, {"b": b"\x00", "3": None}]
    assert await queue.get_length("jobs", context=me) == 3
    assert [await queue.pop("jobs", 0, context=me) for _ in range(4)] == [
        1,
        {"b": b"\x00", "3": None},
        ["x"],
        None,
    ]


async def test_queues_of_workspaces_are_apart(lab: Lab) -> None:
    await lab.service.push("jobs", 1, context=caller())
    assert await lab.service.pop("jobs", 0, context=caller("w-2")) is None
    assert await lab.service.get_length("jobs", context=caller("w-2")) == 0


async def test_waiting_consumers_are_served_in_turn(lab: Lab) -> None:
    first, second = await lab.consumer("one"), await lab.consumer("two")
    await lab.service.push("jobs", "a", context=caller())
    assert await first == "a"
    await lab.service.push("jobs", "b", context=caller())
    assert await second == "b"
    assert not lab.delivery._lines


async def test_a_fraction_of_a_second_is_waited(lab: Lab) -> None:
    async def attempt() -> float:
        with Watch() as watch:
            assert await lab.service.pop("jobs", 0.2, context=caller()) is None
        return watch.seconds

    await check_quick(attempt, within_s=1.0, least_s=0.15)


async def test_a_caller_that_has_left_takes_nothing(lab: Lab) -> None:
    gone = await lab.consumer("two")
    lab.present.discard("w-1/two")
    await lab.service.push("jobs", "a", context=caller())
    assert await gone is None
    assert await lab.service.pop("jobs", 0, context=caller()) == "a"


async def test_the_next_in_line_stands_where_a_client_that_has_left_stood(lab: Lab) -> None:
    gone, other = await lab.consumer("two"), await lab.consumer("one")
    lab.delivery.client_ended("w-1", "one")  # not the first: nothing changes
    lab.present.discard("w-1/two")
    lab.delivery.client_ended("w-1", "two")
    assert await gone is None
    await lab.service.push("jobs", "a", context=caller())
    assert await other == "a"


async def test_nobody_waits_for_the_queues_of_a_workspace_that_has_ended(lab: Lab) -> None:
    first, second, elsewhere = [
        await lab.consumer(*who) for who in (("one", "w-1"), ("two", "w-1"), ("one", "w-2"))
    ]
    await lab.delivery.workspace_ended("w-1")
    assert (await first, await second) == (None, None)
    anew = await lab.consumer("one")
    await lab.service.push("jobs", "a", context=caller())
    assert await anew == "a"
    await lab.service.push("jobs", "b", context=caller("w-2"))
    assert await elsewhere == "b"
    assert not lab.delivery._lines


async def test_a_leased_task_comes_back_unless_it_is_done(lab: Lab) -> None:
    me, queue = caller(), lab.service
    await queue.push("jobs", "a", context=me)
    held = await queue.pop("jobs", 0, 60, context=me)
    assert (held["task"], held["attempt"]) == ("a", 1)
    assert await queue.pop("jobs", 0, context=me) is None
    assert await queue.get_length("jobs", context=me) == 0
    lab.now += 50
    assert await queue.extend("jobs", held["receipt"], 60, context=me) == lab.now + 60
    lab.now += 59
    assert await queue.pop("jobs", 0, context=me) is None
    lab.now += 2
    again = await queue.pop("jobs", 0, 60, context=me)
    assert (again["task"], again["attempt"]) == ("a", 2)
    with pytest.raises(NotFound):
        await queue.ack("jobs", held["receipt"], context=me)
    with pytest.raises(NotFound):
        await queue.ack("jobs", again["receipt"], context=caller("w-2"))
    await queue.ack("jobs", again["receipt"], context=me)
    lab.now += 100
    assert await queue.pop("jobs", 0, context=me) is None


async def test_a_task_that_is_given_back_wakes_a_consumer(lab: Lab) -> None:
    me, queue = caller(), lab.service
    await queue.push("jobs", "a", context=me)
    held = await queue.pop("jobs", 0, 60, context=me)
    waiting = await lab.consumer()
    await queue.extend("jobs", held["receipt"], 0, context=me)
    assert await waiting == "a"


async def test_a_lease_that_ends_wakes_a_consumer(lab: Lab) -> None:
    me, queue = caller(), lab.service
    start = asyncio.get_running_loop().time()
    lab.delivery._clock = lambda: asyncio.get_running_loop().time()
    await queue.push("jobs", "a", context=me)
    await queue.pop("jobs", 0, 0.2, context=me)
    assert await queue.pop("jobs", 5, context=me) == "a"
    assert asyncio.get_running_loop().time() - start < 2


@pytest.mark.parametrize("name", ["", "-a", "a b", "ä", "a" * 129, None, 5, "a/b", "a\n"])
async def test_bad_names_are_refused(lab: Lab, name: Any) -> None:
    with pytest.raises(InvalidRequest, match="Invalid queue name"):
        await lab.service.push(name, 1, context=caller())


async def test_bad_numbers_are_refused(lab: Lab) -> None:
    for timeout in (-1, "5", True, float("nan"), float("inf"), 1e9):
        with pytest.raises(InvalidRequest):
            await lab.service.pop("jobs", timeout, context=caller())  # type: ignore[arg-type]
    for lease in (0, -1, "x", 1e9):
        with pytest.raises(InvalidRequest):
            await lab.service.pop("jobs", 0, lease, context=caller())  # type: ignore[arg-type]
    for n in (0, -1, 1001, True, "1"):
        with pytest.raises(InvalidRequest):
            await lab.service.peek("jobs", n, context=caller())  # type: ignore[arg-type]


async def test_sizes_are_bounded(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_module, "MAX_TASK_BYTES", 100)
    lab.quota = Quota(3, 1000, "tasks", "")
    with pytest.raises(FrameTooLarge):
        await lab.service.push("jobs", "x" * 101, context=caller())
    for _ in range(3):
        await lab.service.push("jobs", 1, context=caller())
    with pytest.raises(QuotaExceeded):
        await lab.service.push("other", 1, context=caller())
    await lab.service.push("jobs", 1, context=caller("w-2"))
    await lab.service.pop("jobs", 0, context=caller())
    await lab.service.push("other", 1, context=caller())
    leased = await lab.service.pop("jobs", 0, 60, context=caller())
    await lab.service.ack("jobs", leased["receipt"], context=caller())
    await lab.service.push("other", 1, context=caller())
