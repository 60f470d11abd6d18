"""Promise: what a look shows to be harmless is so, whatever it looks like."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.wire.values import FLAT_VALUES, is_flat, is_short

TAGGED = {"_rtype": "method", "_rtarget": "a", "_rmethod": "b"}


@pytest.mark.parametrize(
    "value", [1, "a", None, True, [], {}, [1, "a"], {"a": 1}, {"a": {"b": [1, {"c": 2}]}}]
)
def test_small_values_are_flat(value: Any) -> None:
    assert is_flat(value)


@pytest.mark.parametrize(
    "value",
    [
        TAGGED,
        [TAGGED],
        {"a": TAGGED},
        {"a": {"b": [TAGGED]}},
        {"a": [1], "b": [2]},
        {"a": {"_rintf": True}},
        b"bytes",
        [b"bytes"],
        (1,),
        [[[[[1]]]]],
        [1] * (FLAT_VALUES + 1),
        {"a": [1] * (FLAT_VALUES + 1)},
    ],
)
def test_what_may_hold_more_is_not_flat(value: Any) -> None:
    assert not is_flat(value)


def test_a_long_text_is_flat_but_not_short() -> None:
    text = "x" * 100_000
    for value in (text, [text], {"a": text}):
        assert is_flat(value)
        assert not is_short(value)
    assert is_short({"a": "x"})
    assert not is_short({"a": [1]})
