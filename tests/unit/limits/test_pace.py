"""Work that is ready at once begins in several turns of the loop, party by party and in order."""

from __future__ import annotations

import asyncio

from hypha.limits.pace import BEGINNING_S, Pace


class Work:
    """Pieces of work that each take a time of a clock that only they move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pace = Pace(lambda: self.now)
        self.seen: list[str] = []
        self.longest_s = 0.0

    async def piece(self, party: str, name: str, cost_s: float) -> None:
        if not self.pace.may_begin():
            await self.pace.wait(party)
        self.seen.append(name)
        self.now += cost_s

    async def until_done(self, tasks: list[asyncio.Task[None]]) -> None:
        """Let the loop turn until all is done, and note the longest turn."""
        while not all(task.done() for task in tasks):
            before = self.now
            await asyncio.sleep(0)
            self.longest_s = max(self.longest_s, self.now - before)


async def test_work_that_takes_long_begins_in_several_turns() -> None:
    work = Work()
    tasks = [asyncio.create_task(work.piece("a", str(n), 0.005)) for n in range(500)]
    await work.until_done(tasks)
    assert work.longest_s <= 2 * BEGINNING_S
    assert work.seen == [str(n) for n in range(500)]
    assert not len(work.pace)


async def test_a_party_with_little_does_not_wait_for_one_with_much() -> None:
    work = Work()
    tasks = [asyncio.create_task(work.piece("greedy", f"g{n}", 0.005)) for n in range(500)]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(work.piece("other", "other", 0.005)))
    await work.until_done(tasks)
    assert work.seen.index("other") < 20


async def test_cheap_work_waits_for_nothing() -> None:
    work = Work()
    assert all(work.pace.may_begin() for _ in range(1000))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    work.now += 100.0
    assert work.pace.may_begin()


async def test_who_gives_up_keeps_nobody_waiting() -> None:
    work = Work()
    tasks = [asyncio.create_task(work.piece("a", str(n), 1.0)) for n in range(10)]
    await asyncio.sleep(0)
    for task in tasks[2:8]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert work.seen == ["0", "1", "8", "9"]
    assert not len(work.pace)
