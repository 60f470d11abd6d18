"""What is written in turns is what orjson writes in one go."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypha.wire import json_turns
from hypha.wire.json_turns import PIECE_BYTES, dumps_in_turns
from hypha.wire.packed import is_large

OPTION = orjson.OPT_NON_STR_KEYS
KEYS = st.one_of(st.text(max_size=3), st.integers(0, 50))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=30)),
    lambda inner: st.one_of(st.lists(inner, max_size=25), st.dictionaries(KEYS, inner, max_size=20)),
    max_leaves=60,
)


def refuse(value: Any) -> Any:
    raise TypeError(type(value).__name__)


@pytest.mark.parametrize(("slice_size", "text_chars"), [(1, 1), (3, 5), (16, 10), (4096, 4)])
def test_it_gives_the_same_text(monkeypatch: pytest.MonkeyPatch, slice_size: int, text_chars: int) -> None:
    monkeypatch.setattr(json_turns, "SLICE", slice_size)
    monkeypatch.setattr(json_turns, "TEXT_CHARS", text_chars)
    monkeypatch.setattr(json_turns, "PIECE_BYTES", 20)

    @settings(max_examples=200, deadline=None)
    @given(VALUES)
    def check(value: Any) -> None:
        assert b"".join(dumps_in_turns(value, refuse, OPTION)) == orjson.dumps(value, refuse, OPTION)

    check()


@pytest.mark.parametrize(
    "value",
    [
        list(range(100_000)),
        [[1, {"a": "x"}]] * 30_000,
        {str(number): [number] for number in range(20_000)},
        '"\\é\n' * 200_000,
        {"deep": [{"er": [["text"] * 70_000]}, None]},
    ],
    ids=["numbers", "lists", "object", "text", "deep"],
)
def test_large_values_are_the_same_too_and_come_in_pieces(value: Any) -> None:
    assert is_large(value)
    pieces = dumps_in_turns(value, refuse, OPTION)
    assert b"".join(pieces) == orjson.dumps(value)
    assert max(map(len, pieces)) < 4 * PIECE_BYTES


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(orjson.JSONEncodeError):
        dumps_in_turns([1] * 10_000 + [b"bytes"], refuse, OPTION)


def test_few_values_and_large_bytes_are_not_worth_a_thread() -> None:
    assert not is_large({"a": [1, 2, {"b": "text" * 1000}], "data": b"x" * 10_000_000})
    assert is_large(["x" * 300_000])
    assert is_large([[1] * 3000] * 2)
