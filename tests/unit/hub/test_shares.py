"""Amounts that count together: of a party, of strangers, of all; and each client's own little."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from hypha.auth.users import User
from hypha.hub.shares import Room, Shares


class FakeClient:
    """A user at an address."""

    def __init__(
        self, user: str, address: str = "", *, is_anonymous: bool = False, parent: str | None = None
    ) -> None:
        self.user = User(user, is_anonymous=is_anonymous, parent=parent)
        self.peer_address = address


def stranger(address: str) -> Any:
    return FakeClient("anonymous", address, is_anonymous=True)


def test_each_has_a_little_and_the_rest_is_shared_within_a_party() -> None:
    shares = Shares(Room(free=5, party=10, strangers=100, total=100))
    one, two = stranger("192.0.2.1"), stranger("192.0.2.1")
    assert shares.note(one, 15)
    assert not shares.note(two, 6)
    assert shares.note(two, 5), "it is free"
    assert shares.note(stranger("192.0.2.2"), 15), "another address has its own"
    assert shares.note(one, 4) and shares.note(two, 15)


def test_ipv6_networks_are_one_party_and_people_count_by_person() -> None:
    shares = Shares(Room(free=0, party=10, strangers=100, total=100))
    assert shares.note(stranger("2001:db8::1"), 10) and not shares.note(stranger("2001:db8::2"), 1)
    own: Any = FakeClient("ann", "192.0.2.1")
    child: Any = FakeClient("child", "192.0.2.9", parent="ann")
    assert shares.note(own, 10) and not shares.note(child, 1)


def test_strangers_leave_room_for_the_others() -> None:
    shares = Shares(Room(free=0, party=100, strangers=60, total=100))
    assert shares.note(stranger("192.0.2.1"), 60) and not shares.note(stranger("192.0.2.2"), 1)
    somebody: Any = FakeClient("ann")
    assert shares.note(somebody, 40) and not shares.note(somebody, 41)


def test_nothing_is_left_when_all_have_gone() -> None:
    dice, shares = random.Random(7), Shares(Room(free=3, party=20, strangers=40, total=60))
    crowd: list[Any] = [stranger(f"192.0.2.{number % 4}") for number in range(10)]
    crowd += [FakeClient(f"u{number % 3}") for number in range(10)]
    for _ in range(5000):
        client = dice.choice(crowd)
        shares.note(client, dice.randrange(30))
        if dice.random() < 0.1:
            shares.forget(client)
        assert 0 <= shares.strangers.used <= min(shares.used, 40) and shares.used <= 60
    for client in crowd:
        client.user = replace(
            client.user, is_anonymous=not client.user.is_anonymous
        )  # it has signed in meanwhile
        shares.forget(client)
    assert (shares.used, shares.strangers.used, shares._parties) == (0, 0, {})
