"""Threads that work for parties in turn."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hypha.limits.crew import Crew
from hypha.limits.turns import on_behalf_of


@pytest_asyncio.fixture
async def crew() -> AsyncIterator[Crew]:
    made = Crew(1, "test")
    yield made
    await made.close()


def asked(crew: Crew, party: str, done: list[str], held: threading.Event) -> asyncio.Task[None]:
    def job() -> None:
        held.wait(20)
        done.append(party)

    with on_behalf_of(party):
        return asyncio.create_task(crew.work(job))


async def test_what_one_party_wants_does_not_hold_up_another(crew: Crew) -> None:
    done: list[str] = []
    held = threading.Event()
    work = [asked(crew, "busy", done, held) for _ in range(20)]
    await asyncio.sleep(0)
    work.append(asked(crew, "other", done, held))
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(*work)
    assert done.index("other") <= 2 and len(done) == 21


async def test_results_and_errors_come_back(crew: Crew) -> None:
    assert await crew.work(lambda: 1 + 1) == 2
    with pytest.raises(ZeroDivisionError):
        await crew.work(lambda: 1 // 0)


@pytest.mark.parametrize("times", [1, 3])
async def test_a_caller_that_gives_up_keeps_its_turn_until_the_thread_is_done(crew: Crew, times: int) -> None:
    done: list[str] = []
    held = threading.Event()
    work = asked(crew, "one", done, held)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for _ in range(times):
        work.cancel()
        await asyncio.sleep(0)
    after = asyncio.create_task(crew.work(lambda: done.append("two")))
    await asyncio.sleep(0)
    assert len(crew._turns) == 1, "the next one does not wait"
    held.set()
    await asyncio.wait((work, after))
    assert work.cancelled() and done == ["one", "two"]


async def test_whose_turn_it_is_can_be_said(crew: Crew) -> None:
    done: list[str] = []
    held = threading.Event()
    work = [asked(crew, "busy", done, held) for _ in range(3)]
    await asyncio.sleep(0)
    work += [
        asyncio.create_task(crew.work(lambda name=name: done.append(name), name, first=name == "urgent"))
        for name in ("other", "urgent")
    ]
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(*work)
    assert done[:2] == ["busy", "urgent"] and done.index("other") <= 3
