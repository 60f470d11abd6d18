"""Turns go round the parties; nobody waits for all that somebody else asked for."""

from __future__ import annotations

import asyncio

import pytest

from hypha.errors import RateLimited
from hypha.limits.turns import Turns, on_behalf_of


async def take(turns: Turns, party: str, seen: list[str], name: str = "") -> None:
    with on_behalf_of(party):
        async with turns.taken():
            seen.append(name or party)
            await asyncio.sleep(0)


async def test_a_party_that_asks_often_waits_for_itself() -> None:
    turns, seen = Turns(), []  # type: tuple[Turns, list[str]]
    many = [take(turns, "greedy", seen) for _ in range(100)]
    await asyncio.gather(*many, take(turns, "a", seen), take(turns, "b", seen))
    assert len(seen) == 102
    assert seen.index("a") <= 3 and seen.index("b") <= 3


async def test_one_party_is_served_in_its_order() -> None:
    turns, seen = Turns(), []  # type: tuple[Turns, list[str]]
    await asyncio.gather(*(take(turns, "a", seen, str(n)) for n in range(10)))
    assert seen == [str(n) for n in range(10)]


@pytest.mark.parametrize("slots", [1, 3])
async def test_no_more_turns_are_taken_than_there_are(slots: int) -> None:
    turns, held, most = Turns(slots), 0, 0

    async def hold() -> None:
        nonlocal held, most
        async with turns.taken():
            held += 1
            most = max(most, held)
            await asyncio.sleep(0)
            held -= 1

    await asyncio.gather(*(hold() for _ in range(20)))
    assert (held, most) == (0, slots)


@pytest.mark.parametrize("given_up", [0, 1, 4])
async def test_who_gives_up_keeps_no_turn(given_up: int) -> None:
    turns, seen = Turns(), []  # type: tuple[Turns, list[str]]
    async with turns.taken():
        waiting = [asyncio.create_task(take(turns, str(n), seen)) for n in range(5)]
        await asyncio.sleep(0)
        waiting[given_up].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert seen == [str(n) for n in range(5) if n != given_up]
    await asyncio.wait_for(take(turns, "last", seen), 1)


async def test_a_turn_that_comes_as_its_taker_gives_up_is_passed_on() -> None:
    turns, seen = Turns(), []  # type: tuple[Turns, list[str]]
    async with turns.taken():
        first = asyncio.create_task(take(turns, "first", seen))
        second = asyncio.create_task(take(turns, "second", seen))
        await asyncio.sleep(0)
    first.cancel()  # its turn has come, and it has not run since
    await asyncio.gather(first, second, return_exceptions=True)
    assert seen == ["second"]
    await asyncio.wait_for(take(turns, "last", seen), 1)


async def test_tasks_take_turns_of_those_who_began_them() -> None:
    turns, seen = Turns(), []  # type: tuple[Turns, list[str]]

    async def plain(name: str) -> None:
        async with turns.taken():
            seen.append(name)

    async with turns.taken():
        with on_behalf_of("a"):
            tasks = [asyncio.create_task(plain("a")) for _ in range(3)]
        tasks.append(asyncio.create_task(plain("server")))
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert seen == ["a", "server", "a", "a"]


async def test_giving_up_leaves_nothing_behind_while_a_turn_lasts() -> None:
    turns, seen = Turns(), []  # type: tuple[Turns, list[str]]
    async with turns.taken():
        for _ in range(5):
            waiting = [asyncio.create_task(take(turns, party, seen)) for party in "aab" * 20]
            await asyncio.sleep(0)
            assert len(turns) == 60
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            assert len(turns) == 0
    await asyncio.wait_for(take(turns, "last", seen), 1)
    assert seen == ["last"]


async def test_a_crowd_at_one_place_is_in_front_of_nobody() -> None:
    turns, order = Turns(2, per_party=1), list[str]()

    async def work(key: str, *, first: bool = False) -> None:
        async with turns.taken(key, first=first):
            order.append(key)
            await asyncio.sleep(0)

    crowd = [asyncio.create_task(work("crowd")) for _ in range(40)]
    await asyncio.sleep(0)
    others = [asyncio.create_task(work(name)) for name in ("ann", "bob")]
    known = asyncio.create_task(work("known", first=True))
    await asyncio.gather(*crowd, *others, known)
    assert max(order.index(name) for name in ("ann", "bob", "known")) < 8
    assert len(order) == 43


async def test_one_place_has_one_turn_and_bounded_room() -> None:
    turns = Turns(2, per_party=1, most=5, most_per_party=3)
    gate, running = asyncio.Event(), 0
    most = 0

    async def work(key: str, *, first: bool = False) -> None:
        nonlocal running, most
        async with turns.taken(key, first=first):
            running += 1
            most = max(most, running)
            await gate.wait()
            running -= 1

    tasks = [asyncio.create_task(work("a")) for _ in range(4)]
    await asyncio.sleep(0)
    assert running == 1
    with pytest.raises(RateLimited):
        await work("a")
    tasks += [asyncio.create_task(work(key)) for key in ("b", "c", "d")]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited):
        await work("e")
    tasks.append(asyncio.create_task(work("f", first=True)))
    for task in tasks[1:3]:
        task.cancel()
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 2 and running == 0 and len(turns) == 0
    async with turns.taken("x"), turns.taken("y"):
        assert len(turns) == 0  # both are free again
