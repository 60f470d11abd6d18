"""The account of waiting bytes: bounds of parties, who gives way, and that everything is given back."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from hypha.limits import Claim, Party, WaitingBytes, WaitingRoom

ROOM = WaitingRoom(person=100, stranger=50, strangers=120, total=200)
A, B, C, D = (Party(f"192.0.2.{number}", is_stranger=True) for number in range(4))
ANN, BEN = Party("user ann", is_stranger=False), Party("user ben", is_stranger=False)


def test_no_party_has_more_than_its_bound() -> None:
    account = WaitingBytes(ROOM)
    assert account.claim(A).take(50) and not account.claim(A).take(1)
    assert account.claim(ANN).take(100) and not account.claim(ANN).take(1)


def test_strangers_leave_room_for_who_is_signed_in() -> None:
    account = WaitingBytes(ROOM)
    assert [account.claim(party).take(40) for party in (A, B, C)] == [True, True, True]
    assert not account.claim(D).take(40)
    assert account.claim(ANN).take(80)


def test_who_has_most_gives_up_the_oldest_for_who_has_less() -> None:
    account = WaitingBytes(ROOM)
    given_up: list[str] = []
    claims = {}
    for name, party in [("a1", A), ("b1", B), ("a2", A), ("c1", C), ("b2", B)]:
        claims[name] = account.claim(party, lambda name=name: given_up.append(name))  # type: ignore[misc]
        assert claims[name].take(24)
    assert account.claim(D).take(24)
    assert given_up == ["a1"] and claims["a1"].size == 0
    assert not account.claim(D).take(1000)


def test_who_would_have_as_much_gets_nothing_from_others() -> None:
    account = WaitingBytes(ROOM)
    for party in (A, B, C):
        assert account.claim(party, lambda: None).take(40)
    assert not account.claim(D, lambda: None).take(40)


def test_what_cannot_be_given_up_stays_and_the_next_one_gives_way() -> None:
    account = WaitingBytes(ROOM)
    given_up: list[str] = []
    fixed = account.claim(A)
    assert fixed.take(50)
    assert account.claim(B, lambda: given_up.append("b")).take(40)
    assert account.claim(C, lambda: given_up.append("c")).take(30)
    assert account.claim(D).take(20)
    assert given_up == ["b"] and fixed.size == 50


def test_giving_back_more_than_there_is_or_twice_changes_nothing() -> None:
    account = WaitingBytes(ROOM)
    one, other = account.claim(A), account.claim(A)
    assert one.take(20) and other.take(20)
    for _ in range(3):
        one.give_back(30)
        one.close()
    assert account.used_by(A) == 20
    assert other.become(45) and not other.become(60) and other.become(5)
    assert account.used == 5
    other.close()
    assert account.used == 0 and account.parties == 0


@given(st.integers(0, 2**32))
def test_amounts_agree_whatever_happens(seed: int) -> None:
    chance = random.Random(seed)
    account = WaitingBytes(ROOM)
    claims: list[Claim] = []
    for _ in range(60):
        party = chance.choice([A, B, C, D, ANN, BEN])
        what = chance.random()
        if what < 0.5 or not claims:
            made = account.claim(party, (lambda: None) if chance.random() < 0.7 else None)
            made.take(chance.randrange(60))
            claims.append(made)
        elif what < 0.7:
            chance.choice(claims).give_back(chance.randrange(60))
        elif what < 0.85:
            chance.choice(claims).become(chance.randrange(60))
        else:
            chance.choice(claims).close()
        for each in (A, B, C, D, ANN, BEN):
            assert account.used_by(each) == sum(claim.size for claim in claims if claim.party == each)
            assert account.used_by(each) <= (50 if each.is_stranger else 100)
        assert account.used == sum(claim.size for claim in claims) <= 200
        assert account.strangers.used <= 120
    for claim in claims:
        claim.close()
    assert account.used == 0 and account.parties == 0
