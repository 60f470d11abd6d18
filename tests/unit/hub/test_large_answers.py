"""Room for large answers: clients, parties and strangers have no more than their share at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from hypha.auth.users import User
from hypha.hub.large_answers import AnswerRoom, LargeAnswers, Place

ROOM = AnswerRoom(client=10, party=20, strangers=30, total=40)


@dataclass(eq=False)
class Caller:
    """What is needed of a client."""

    address: str
    user: User
    peer_address: str


def client(name: str, user: str = "anna", address: str = "") -> Any:
    return Caller(name, User(user, is_anonymous=bool(address)), address)


@pytest.fixture
def answers() -> LargeAnswers:
    return LargeAnswers(ROOM)


async def ask(answers: LargeAnswers, caller: Any, size: int = 5) -> asyncio.Task[Place]:
    task = asyncio.create_task(answers.place(caller, size))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_a_client_waits_for_its_own_answers_and_keeps_nobody_else_waiting(
    answers: LargeAnswers,
) -> None:
    greedy, other = client("greedy"), client("other")
    asked = [await ask(answers, greedy) for _ in range(5)]
    assert [task.done() for task in asked] == [True, True, False, False, False]
    assert (await ask(answers, other)).done()
    (await asked[0]).close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [task.done() for task in asked] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("people", "address", "most"),
    [(["anna"] * 9, "", 20), ([f"s{n}" for n in range(9)], "192.0.2.1", 20), (list("abcdefghi"), "", 40)],
    ids=["a person", "an address", "all"],
)
async def test_many_clients_have_little_more_than_one(
    answers: LargeAnswers, people: list[str], address: str, most: int
) -> None:
    for number, user in enumerate(people):
        for _ in range(2):
            await ask(answers, client(f"c{number}", user, address))
    assert answers.used == most


async def test_strangers_leave_room_for_those_who_are_signed_in(answers: LargeAnswers) -> None:
    for number in range(9):
        await ask(answers, client(f"c{number}", f"s{number}", f"192.0.2.{number}"))
    assert answers.used == 30
    assert (await ask(answers, client("anna"))).done()


async def test_all_get_their_room_and_nothing_is_left_over(answers: LargeAnswers) -> None:
    async def call(caller: Any, number: int) -> None:
        place = await answers.place(caller, 5)
        place.resize(1 + number % 9)
        await asyncio.sleep(0)
        place.close()

    callers = [client(f"c{number}", f"u{number % 3}") for number in range(6)]
    async with asyncio.timeout(10):
        await asyncio.gather(*(call(callers[n % 6], n) for n in range(600)))
    assert answers.used == 0
    assert not answers._clients and not answers._account.parties and not answers._waiting


async def test_what_was_not_asked_for_keeps_the_next_waiting(answers: LargeAnswers) -> None:
    anna = client("c")
    place = answers.unasked(anna, 100)
    waiting = await ask(answers, anna)
    assert not waiting.done()
    place.close()
    assert await asyncio.wait_for(waiting, 5)


async def test_who_gives_up_leaves_its_room_to_the_next(answers: LargeAnswers) -> None:
    anna = client("c")
    held = [await ask(answers, anna) for _ in range(2)]
    waiting = [await ask(answers, anna) for _ in range(3)]
    waiting[0].cancel()
    (await held[0]).close()
    waiting[1].cancel()  # its room has just come
    await asyncio.gather(*waiting[:2], return_exceptions=True)
    assert await asyncio.wait_for(waiting[2], 5)
    assert answers.used == 10
