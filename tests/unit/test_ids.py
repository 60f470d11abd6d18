"""Ids are unguessable: every letter is as likely as every other."""

from __future__ import annotations

from collections import Counter

import pytest

from hypha.ids import random_id


@pytest.mark.parametrize("length", [0, 1, 8, 22, 500])
def test_ids_have_the_length_that_was_asked_for(length: int) -> None:
    assert len(random_id(length)) == length


def test_every_letter_is_as_likely_as_every_other() -> None:
    counts = Counter(random_id(57_000))
    assert len(counts) == 57
    # 1,000 each, and a standard deviation of 32: seven of them are not seen in a lifetime
    assert all(abs(count - 1000) < 7 * 32 for count in counts.values())


def test_ids_hold_no_letters_that_look_alike() -> None:
    assert not set("0O1lI") & set(random_id(20_000))
