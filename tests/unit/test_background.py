"""Work in the background is bounded, for each workspace and for strangers, so that others find room."""

from __future__ import annotations

import asyncio

import pytest

from hypha.background import Background, Tasks, to_its_end


async def test_no_workspace_takes_all_room_for_work_in_the_background() -> None:
    background, never = Background(limit=10, per_party=3), asyncio.Event()
    assert [background.start(never.wait(), "waiting", party="greedy") for _ in range(5)] == [True] * 3 + [
        False
    ] * 2
    assert background.start(never.wait(), "waiting", party="other")
    assert background.dropped == 2
    await background.close()


async def test_strangers_leave_half_of_the_room_to_others() -> None:
    background, never = Background(limit=10, per_party=3), asyncio.Event()
    for number in range(20):
        background.start(never.wait(), "waiting", party=f"ws-{number}", is_stranger=True)
    assert len(background) == 5
    assert all(background.start(never.wait(), "waiting", party=f"own-{number}") for number in range(5))
    assert not background.start(never.wait(), "waiting", party="late")
    await background.close()


async def test_what_has_ended_makes_room() -> None:
    background = Background(limit=2, per_party=1)
    for _ in range(5):
        assert background.start(asyncio.sleep(0), "nothing", party="ws", is_stranger=True)
        await background.settled()


async def test_tasks_end_with_their_owner_also_those_that_had_not_begun() -> None:
    tasks, begun, ended = Tasks(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    tasks.start(work())
    await begun.wait()
    late = tasks.start(work())
    assert len(tasks) == 2
    await tasks.close()
    assert ended.is_set() and late.cancelled() and not len(tasks)
    await tasks.settled()


@pytest.mark.parametrize("times", [1, 3])
async def test_what_goes_to_its_end_is_waited_for_however_often_its_caller_is_called_off(times: int) -> None:
    go_on, done = asyncio.Event(), list[str]()

    async def work() -> str:
        await go_on.wait()
        done.append("done")
        return "result"

    caller = asyncio.create_task(to_its_end(work()))
    for _ in range(times):
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.sleep(0)
    assert not caller.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == ["done"] and await to_its_end(work()) == "result"


async def test_what_fails_at_its_end_tells_its_caller() -> None:
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await to_its_end(work())
