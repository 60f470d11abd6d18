"""Listings stay small whatever services say of themselves, and one service tells everything."""

from __future__ import annotations

import random

import pytest

from hypha.registry.records import MAX_INFO_BYTES
from hypha.registry.shown import LISTING_BYTES, MAX_LISTED, WHOLE_BYTES, shown
from tests.kit.registry import record, size_of


def test_small_ones_are_given_whole() -> None:
    records = [record(number, 500) for number in range(1000)]
    infos = shown(records, lambda _: True)
    assert infos == [each.info(True) for each in records]


@pytest.mark.parametrize("count", [1, 300, 5000])
def test_large_ones_are_given_in_brief(count: int) -> None:
    large = record(1, 370_000)
    infos = shown([large] * count, lambda _: True)
    assert len(infos) == count
    assert size_of(infos) < LISTING_BYTES
    assert all(info["truncated"] and info["docs"] is None for info in infos)
    assert infos[0]["id"] == large.id and infos[0]["config"]["visibility"] == "protected"
    if count == 1:
        assert infos[0]["service_schema"] == {"hello": {"type": "function", "function": {"name": "hello"}}}


def test_large_ones_take_no_details_from_small_ones() -> None:
    records = [record(0, 2000), *(record(number, 380_000) for number in range(1, 300))]
    infos = shown(records, lambda _: True)
    assert infos[0] == records[0].info(True)
    assert all("truncated" in info for info in infos[1:])


def test_whatever_is_registered_an_answer_is_bounded() -> None:
    chance = random.Random(1)
    worst = []
    for number in range(200):
        text = "💥" * 1024
        worst.append(
            record(
                number,
                chance.choice([0, 1000, 15_000, 200_000]),
                name=text,
                description=text,
                type="t" * 256,
                config={"visibility": "public", "flags": ["f" * 100] * chance.randrange(100)},
                service_schema={
                    f"{'n' * 200}-{n}": {"type": "function"} for n in range(chance.randrange(400))
                },
            )
        )
    infos = shown(worst * 200, lambda _: False)
    assert len(infos) <= MAX_LISTED
    assert size_of(infos) < 1.5 * LISTING_BYTES
    assert not any("created_by" in info["config"] for info in infos)


def test_the_size_of_a_record_is_what_its_registration_took() -> None:
    assert 400 < record(1, 300).size_bytes < 700
    assert WHOLE_BYTES < record(1, WHOLE_BYTES).size_bytes < MAX_INFO_BYTES
