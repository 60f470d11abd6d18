"""Which single values count as numbers."""

from __future__ import annotations

import pytest

from hypha.errors import InvalidRequest
from hypha.values import check_offset, is_number, is_whole, unknown_keys

INFINITY, NAN = float("inf"), float("nan")


@pytest.mark.parametrize("value", [0, -1, 2**70])
def test_whole_numbers(value: object) -> None:
    assert is_whole(value)
    assert is_number(value)


@pytest.mark.parametrize("value", [True, False, 1.0, NAN, "1", None, [1]])
def test_what_is_no_whole_number(value: object) -> None:
    assert not is_whole(value)


@pytest.mark.parametrize("value", [1.5, -INFINITY, INFINITY])
def test_numbers_may_be_infinite(value: object) -> None:
    assert is_number(value)


@pytest.mark.parametrize("value", [True, NAN, "1.5", None, {}, 10**400, -(10**400)])
def test_what_is_no_number(value: object) -> None:
    assert not is_number(value)


def test_offsets_that_a_database_counts_with() -> None:
    assert check_offset(0) == 0
    assert check_offset(2**31 - 1) == 2**31 - 1
    for value in (-1, True, 1.0, "1", None, 2**31, 2**70):
        with pytest.raises(InvalidRequest, match="Offset number must be"):
            check_offset(value)


def test_unknown_keys_are_named_in_bounds() -> None:
    assert unknown_keys({"type": 1, "tpye": 2, 3: 4}, {"type"}) == {"tpye", "3"}
    many = unknown_keys({f"{number:03}" + "x" * 1000: 0 for number in range(1000)}, {"type"})
    assert len(many) == 20 and all(len(key) == 100 for key in many)
