"""What is packed in turns is what is packed in one go."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypha.wire import packed
from hypha.wire.frames import pack
from hypha.wire.packed import PackedList, PackedMap, pack_call, pack_in_turns

VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False),
        st.text(max_size=40),
        st.binary(max_size=40),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=25), st.dictionaries(st.text(max_size=3), inner, max_size=20)
    ),
    max_leaves=60,
)


@pytest.mark.parametrize(("slice_size", "text_chars"), [(16, 5), (20, 30), (4096, 10)])
def test_it_gives_the_same_value(monkeypatch: pytest.MonkeyPatch, slice_size: int, text_chars: int) -> None:
    monkeypatch.setattr(packed, "SLICE", slice_size)
    monkeypatch.setattr(packed, "TEXT_CHARS", text_chars)
    monkeypatch.setattr(packed, "LIFTED_BYTES", text_chars)

    @settings(max_examples=200, deadline=None)
    @given(VALUES)
    def check(value: Any) -> None:
        assert msgpack.unpackb(b"".join(pack_in_turns(value))) == value

    check()


@pytest.mark.parametrize(
    "value",
    [
        list(range(100_000)),
        ["text"] * 100_000,
        [[1, 2]] * 30_000,
        {str(number): number for number in range(50_000)},
        {"deep": {"er": [[1] * 70_000]}},
        "é" * 600_000,
        [b"x" * 300_000, "y" * 300_000],
        [["z" * 1000] * 1000] * 3,
    ],
    ids=["numbers", "texts", "lists", "map", "deep", "long text", "large bytes", "much text"],
)
def test_large_values_are_the_same_too(value: Any) -> None:
    assert msgpack.unpackb(b"".join(pack_in_turns(value)), max_map_len=1 << 20) == value


@pytest.mark.parametrize("kwargs", [{}, {"a": [1], "b": "x"}])
@pytest.mark.parametrize("args", [[], [1, "two", {"three": 3}], list(range(20)), [*range(9000), [{}]]])
def test_a_call_with_packed_arguments_is_the_same_call(args: list[Any], kwargs: dict[str, Any]) -> None:
    given = {"args": [*args, kwargs], "with_kwargs": True} if kwargs else {"args": args}
    rest = {"promise": "*", "t": 15.0}
    pieces = pack_call(PackedList(args), PackedMap(kwargs), rest)
    assert msgpack.unpackb(b"".join(pieces)) == {**given, **rest}
    assert b"".join(pieces) == b"".join(pack_call(PackedList(args), kwargs, rest))
    assert len(pack({**given, **rest})) == sum(map(len, pieces))


def test_packed_arguments_can_be_read() -> None:
    args, kwargs = PackedList([1, [2]]), PackedMap({"a": 1})
    assert len(PackedList(range(1_000_000)).pieces) < 1000
    assert (list(args), len(args), args[1]) == ([1, [2]], 2, [2])
    assert (dict(kwargs), len(kwargs), bool(PackedMap({}))) == ({"a": 1}, 1, False)
