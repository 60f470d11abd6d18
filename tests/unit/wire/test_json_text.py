"""JSON from strangers is read like orjson reads it, whole or in pieces, and nothing changes its meaning."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypha.wire import json_text
from hypha.wire.bounded import MAX_ENTRIES, ValueLimit
from hypha.wire.json_text import Inexact, NotJson, loads

WORDS = st.text(st.sampled_from('ab\\"[]{},: \n\u00e9\u65e5\U0001f600'), max_size=12)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    WORDS,
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(WORDS, inner, max_size=6)),
    max_leaves=40,
)
DAMAGES = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 1), st.sampled_from(list(',[]{}":\\ 1')) | st.just("")),
    min_size=1,
    max_size=3,
)


@pytest.fixture
def tiny_pieces(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Texts of any size are read in pieces of a few bytes."""
    monkeypatch.setattr(json_text, "QUICK_BYTES", 0)
    return monkeypatch


def has_a_name_twice(text: bytes) -> bool:
    found = []

    def hook(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            found.append(pairs)
        return dict(pairs)

    json.loads(text, object_pairs_hook=hook)
    return bool(found)


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 7, 20, 64])
def test_a_text_read_in_pieces_gives_the_same_value(
    tiny_pieces: pytest.MonkeyPatch, piece_bytes: int
) -> None:
    tiny_pieces.setattr(json_text, "PIECE_BYTES", piece_bytes)

    @settings(max_examples=150, deadline=None)
    @given(VALUES, st.booleans(), st.sampled_from([None, 1]))
    def check(value: Any, ascii_only: bool, indent: int | None) -> None:
        text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
        expected = orjson.loads(text)
        found = loads(text)
        assert found == expected
        assert repr(found) == repr(expected)

    check()


@pytest.mark.parametrize("piece_bytes", [1, 3, 11, 10_000])
def test_a_damaged_text_is_refused_in_pieces_as_it_is_whole(
    tiny_pieces: pytest.MonkeyPatch, piece_bytes: int
) -> None:
    tiny_pieces.setattr(json_text, "PIECE_BYTES", piece_bytes)

    @settings(max_examples=250, deadline=None)
    @given(VALUES, DAMAGES)
    def check(value: Any, damages: list[tuple[int, int, str]]) -> None:
        text = json.dumps(value)
        for at, removed, added in damages:
            at %= len(text) + 1
            text = text[:at] + added + text[at + removed :]
        raw = text.encode()
        try:
            expected = orjson.loads(raw)
        except ValueError:
            with pytest.raises(NotJson):
                loads(raw)
            return
        try:
            assert loads(raw) == expected
        except Inexact as error:
            assert ("twice" in str(error) and has_a_name_twice(raw)) or "64 bits" in str(error)

    check()


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 18446744073709551616}', "integer 18446744073709551616 has more than 64 bits"),
        ("[1, -9223372036854775809]", "64 bits"),
        ("[" + "9" * 5000 + "]", "64 bits"),
        ('{"a": 1, "b": [], "a": 2}', "twice"),
        ('[{"x": {"a": 1, "a": 1}}]', "twice"),
        ('{"a": ":", "a": ":::"}', "twice"),
        ('{"a": [1, 2], "b": 1, "a": [3, 4, 5]}', "twice"),
        ("[NaN]", "NaN and Infinity are no JSON"),
        ("[1, -Infinity]", "NaN and Infinity are no JSON"),
        ('"\\ud800"', "surrogate"),
        ("", None),
        ("[1,]", None),
        ("[,1]", None),
        ("[1}", None),
        ("[1],[2]", None),
        ("[1", None),
        ("'a'", None),
        ("{1: 2}", None),
    ],
)
def test_what_would_change_its_meaning_is_refused(is_large: bool, text: str, reason: str | None) -> None:
    padding = " " * 70_000 if is_large else ""
    with pytest.raises(NotJson, match=reason):
        loads((padding + text).encode())


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "[18446744073709551615, -9223372036854775808]",
        "[18446744073709551616.0, 1e300, 0.12345678901234567890123, 1.5E+00000000000000000000001]",
        '["18446744073709551616", "\\"99999999999999999999999"]',
        '{"a": {"a": ":"}, "b": "{}:", "": [{"a": 1}, {"a": 2}]}',
        '"\\ud83d\\ude00 \u65e5"',
    ],
)
def test_what_can_be_carried_exactly_is_read(is_large: bool, text: str) -> None:
    padding = " " * 70_000 if is_large else ""
    assert loads((text + padding).encode()) == orjson.loads(text)


def test_a_byte_order_mark_is_skipped_and_other_encodings_are_refused() -> None:
    assert loads(b"\xef\xbb\xbf[1]") == [1]
    for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-32-be"):
        with pytest.raises(NotJson, match="send UTF-8"):
            loads('{"a": 1}'.encode(encoding))
    with pytest.raises(NotJson):
        loads('["café"]'.encode("latin-1"))


@pytest.mark.spec("faults-F14")
@pytest.mark.parametrize(
    "text",
    [
        b"[" + b"1," * 60_000 + b"1]",
        b"[" + b"[]," * 9_000 + b"1]",
        b"[" + b'{"a":1},' * 9_000 + b"1]",
        b'{"a":' + b"[[1,2]," * 99 + b"1" + b"]" * 99 + b',"b":[' + b'"",' * 60_000 + b"1]}",
    ],
    ids=["numbers", "lists", "objects", "deep"],
)
def test_values_are_counted_before_they_are_made(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    made = 0

    def count(data: bytes) -> Any:
        nonlocal made
        made += len(data)
        return orjson.loads(data)

    monkeypatch.setattr(json_text, "_parse", lambda data, begin: count(data))
    monkeypatch.setattr(json_text, "QUICK_BYTES", 1000)
    monkeypatch.setattr(json_text, "PIECE_BYTES", 4096)
    with pytest.raises(ValueLimit, match=r"more than 20,000 values"):
        loads(text, 20_000)
    assert made <= 60_000


def test_brackets_and_commas_inside_strings_count_for_nothing() -> None:
    text = "[{,:" * 100_000
    assert loads(orjson.dumps([text]), 100) == [text]


def test_an_object_of_very_many_names_is_refused() -> None:
    text = orjson.dumps({str(number): 1 for number in range(MAX_ENTRIES + 30_000)})
    with pytest.raises(ValueLimit, match="a map in it holds more than"):
        loads(text)


def test_deep_nesting_is_refused_whole_and_in_pieces() -> None:
    for count in (json_text.MAX_DEPTH + 1, 100_000):
        with pytest.raises(NotJson, match="deeper"):
            loads(b"[" * count + b"1" + b"]" * count + b" " * 70_000)
    deep = b"[" * json_text.MAX_DEPTH + b"1" + b"]" * json_text.MAX_DEPTH
    assert loads(deep + b" " * 70_000) == orjson.loads(deep)
