"""No party can use up what the others need, whatever it does."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from hypha.limits import Places


class Room:
    """Places of text members, whose evictions are kept."""

    def __init__(self, limit: int, per_party: int) -> None:
        self.now = 0.0
        self.left: list[str] = []
        self.places: Places[str] = Places(limit, per_party, self.left.append, lambda: self.now)

    def fill(self, party: str, count: int, *, idle: bool = True) -> int:
        """How many of so many members get a place."""
        names = [f"{party}-{self.places.count(party) + n}-{self.now}" for n in range(count)]
        return sum(self.places.enter(name, party, idle=idle) for name in names)


def test_a_full_party_keeps_nobody_else_out() -> None:
    room = Room(100, 80)
    assert room.fill("greedy", 500) == 80
    assert room.fill("honest", 20) == 20
    assert room.left == []
    assert room.fill("late", 3) == 3
    assert all(name.startswith("greedy") for name in room.left)
    assert len(room.places) == 100


def test_busy_members_are_never_made_to_leave() -> None:
    room = Room(10, 10)
    assert room.fill("a", 10, idle=False) == 10
    room.now = 100.0
    assert room.fill("b", 1) == 0
    assert room.left == []
    assert room.places.refused == 1


def test_a_party_at_its_limit_lets_its_own_oldest_go_once_that_was_idle_long_enough() -> None:
    room = Room(100, 5)
    assert room.fill("a", 5) == 5
    assert not room.places.enter("newer", "a")
    room.now = 1.0
    assert room.places.has_room("a")
    assert room.places.enter("newer", "a")
    assert room.left == ["a-0-0.0"]


def test_members_of_as_many_parties_as_there_are_places_give_way_after_a_moment() -> None:
    room = Room(50, 10)
    for number in range(50):
        assert room.fill(f"p{number}", 1) == 1
    assert not room.places.enter("x", "honest")
    room.now = 1.0
    assert room.places.enter("x", "honest")


def test_the_busy_one_that_becomes_idle_again_is_the_youngest() -> None:
    room = Room(2, 2)
    for name in ("first", "second"):
        room.places.enter(name, "a", idle=True)
    room.places.busy("first")
    room.places.idle("first")
    assert room.places.enter("x", "b")
    assert room.left == ["second"]


@pytest.mark.parametrize("seed", range(30))
def test_the_count_of_places_is_right_after_any_history(seed: int) -> None:
    chance = random.Random(seed)
    room = Room(chance.randint(1, 12), chance.randint(1, 8))
    members: dict[str, str] = {}
    idle: set[str] = set()
    for step in range(400):
        room.now += chance.random()
        name, party = f"m{step}", f"p{chance.randint(0, 4)}"
        act = chance.randrange(4)
        known = chance.choice(sorted(members)) if members else None
        if act == 0 or known is None:
            is_idle, had_room = chance.random() < 0.6, room.places.has_room(party)
            before, idle_before = Counter(members.values()), Counter(members[name] for name in idle)
            entered = room.places.enter(name, party, idle=is_idle)
            assert entered == had_room
            for gone in room.left:
                assert gone in idle
                idle.remove(gone)
                giver = members.pop(gone)
                assert before[giver] >= before[party]
                assert giver == party or idle_before[giver] == max(idle_before.values())
            room.left.clear()
            if entered:
                members[name] = party
                idle |= {name} if is_idle else set()
        elif act == 1:
            room.places.busy(known)
            idle.discard(known)
        elif act == 2:
            room.places.idle(known)
            idle.add(known)
        else:
            room.places.leave(known)
            idle.discard(known)
            del members[known]
        counts = Counter(members.values())
        assert len(room.places) == len(members) <= room.places.limit
        assert all(room.places.count(p) == counts[p] <= room.places.per_party for p in counts)
