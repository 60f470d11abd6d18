"""Arguments from queries and bodies."""

from __future__ import annotations

import json
import math
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypha.errors import InvalidRequest, UnsupportedContent
from hypha.gateways.http.parameters import (
    MAX_OPTIONS,
    body_arguments,
    convert,
    guess,
    media_type,
    query_arguments,
    split_query,
)


def function(**properties: Any) -> dict[str, Any]:
    return {"name": "f", "parameters": {"type": "object", "properties": properties}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("0", 0),
        ("-7", -7),
        ("1.5", 1.5),
        ("-1.5e3", -1500.0),
        ('{"a": [1]}', {"a": [1]}),
        ("007", "007"),
        ("00.5", "00.5"),
        ("+49123", "+49123"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("1e999", "1e999"),
        ("true", "true"),
        ("null", "null"),
        ("[1]", "[1]"),
        ("", ""),
        ("{broken", "{broken"),
        ("e", "e"),
        (".", "."),
        ("99999999999999999999999", "99999999999999999999999"),
        ("-9999999999999999999", "-9999999999999999999"),
    ],
)
def test_text_of_unknown_meaning_changes_only_when_it_is_surely_a_number_or_an_object(
    text: str, value: Any
) -> None:
    result = guess(text)
    assert result == value
    assert type(result) is type(value)


@given(st.text(max_size=40))
def test_a_guess_never_fails_and_can_be_packed(text: str) -> None:
    value = guess(text)
    assert not (isinstance(value, float) and not math.isfinite(value))
    msgpack.packb(value)


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "integer"}, "007", 7),
        ({"type": "integer"}, "abc", "abc"),
        ({"type": "number"}, "3", 3),
        ({"type": "number"}, "1e3", 1000.0),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, "0", False),
        ({"type": "array"}, "[1, 2]", [1, 2]),
        ({"type": "object"}, '{"a": 1}', {"a": 1}),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "null", None),
        ({"type": ["string", "null"]}, "null", None),
        ({"type": ["string", "null"]}, "12", "12"),
        ({"type": "string", "default": "x"}, "12", "12"),
        ({"description": "made by hand", "type": "string"}, "12", "12"),
        ({"type": "string", "description": "derived"}, "12", 12),
        ({"type": "string", "description": "derived"}, "007", "007"),
        ({}, "12", 12),
    ],
)
def test_a_schema_says_what_text_becomes(schema: dict[str, Any], text: str, value: Any) -> None:
    result = convert(text, schema)
    assert result == value
    assert type(result) is type(value)


def test_repeated_names_fill_an_array_and_otherwise_the_last_counts() -> None:
    schema = function(xs={"type": "array", "items": {"type": "integer"}}, y={"type": "integer"})
    assert query_arguments([("xs", "1"), ("xs", "2"), ("y", "1"), ("y", "3")], schema) == {
        "xs": [1, 2],
        "y": 3,
    }


def test_a_single_value_for_an_array_becomes_its_only_item() -> None:
    assert query_arguments([("xs", "5")], function(xs={"type": "array"})) == {"xs": [5]}


def test_names_of_the_path_reach_functions_that_have_them() -> None:
    pairs = [("workspace", "w"), ("a", "1"), ("_mode", "first")]
    assert query_arguments(pairs, function(workspace={"type": "string"}, a={})) == {"workspace": "w", "a": 1}
    assert query_arguments(pairs, function(a={})) == {"a": 1}
    assert query_arguments(pairs, None) == {"workspace": "w", "a": 1}


def test_a_query_with_too_many_names_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        split_query(b"&".join(b"a%d=1" % i for i in range(2000)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 1}, ([], {"a": 1})),
        ([1, 2], ([1, 2], {})),
        (5, ([5], {})),
        ("x", (["x"], {})),
        ({"_rtype": "ndarray", "_rvalue": "x"}, ([{"_rtype": "ndarray", "_rvalue": "x"}], {})),
    ],
)
def test_the_shape_of_a_body_decides_between_names_and_positions(value: Any, expected: Any) -> None:
    assert body_arguments(msgpack.packb(value), "application/msgpack", None) == expected


def test_arrays_in_json_are_taken_as_answers_give_them() -> None:
    array = {"_rtype": "ndarray", "_rvalue": b"\x00\x01", "_rshape": [2], "_rdtype": "uint8"}
    sent = {**array, "_rvalue": "AAE="}
    for value, expected in (
        ({"image": sent}, ([], {"image": array})),
        ([[sent], 1], ([[array], 1], {})),
        (sent, ([array], {})),
        ({"typed": {**sent, "_rtype": "typedarray"}}, ([], {"typed": {**array, "_rtype": "typedarray"}})),
        (
            {"text": {"_rtype": ["ndarray"], "_rvalue": "AAE="}},
            ([], {"text": {"_rtype": ["ndarray"], "_rvalue": "AAE="}}),
        ),
    ):
        assert body_arguments(json.dumps(value).encode(), "application/json", None) == expected
    for data in ("AAE", "ü", "A*E="):
        with pytest.raises(InvalidRequest, match="base64"):
            body_arguments(
                json.dumps({"image": {**sent, "_rvalue": data}}).encode(), "application/json", None
            )


def test_an_empty_body_of_any_type_means_no_arguments() -> None:
    assert body_arguments(b"", "text/plain", None) == ([], {})


def test_null_means_no_arguments_only_where_there_are_no_parameters() -> None:
    assert body_arguments(b"null", "application/json", function()) == ([], {})
    assert body_arguments(b"null", "application/json", function(x={})) == ([None], {})


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", "application/json"),
        (b"\xff\xff", "application/json"),
        (b"\xc1", "application/msgpack"),
        (b"\x01\x02", "application/msgpack"),
        (msgpack.packb({1: 2}), "application/msgpack"),
        (b"\x91" * 5000, "application/msgpack"),
        (b"[" * 100_000, "application/json"),
    ],
)
def test_damaged_bodies_are_refused_with_a_reason(body: bytes, kind: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid request body"):
        body_arguments(body, kind, None)


def test_other_content_types_are_refused() -> None:
    with pytest.raises(UnsupportedContent, match="text/plain"):
        body_arguments(b"hello", "text/plain", None)


@given(st.binary(max_size=200), st.sampled_from(["application/json", "application/msgpack"]))
def test_any_bytes_give_arguments_or_a_refusal(body: bytes, kind: str) -> None:
    try:
        args, kwargs = body_arguments(body, kind, None)
    except InvalidRequest:
        return
    assert isinstance(args, list)
    assert all(isinstance(name, str) for name in kwargs)


def test_media_types_lose_their_parameters() -> None:
    assert media_type(b"Application/JSON; charset=utf-8") == "application/json"
    assert media_type(None) == "application/json"


@pytest.mark.parametrize("kind", ["integer", "number"])
@pytest.mark.parametrize("text", ["18446744073709551616", "-9223372036854775809", "9" * 5000])
def test_integers_that_no_message_can_carry_are_refused_and_never_become_floats(kind: str, text: str) -> None:
    with pytest.raises(InvalidRequest, match="has more than 64 bits; add"):
        convert(text, {"type": kind})
    assert convert(text, {"anyOf": [{"type": kind}, {"type": "string"}]}) == text
    assert convert("000" + "7" * 18, {"type": kind}) == int("7" * 18)
    with pytest.raises(InvalidRequest, match="64 bits"):
        convert(f'{{"a": {text}}}', {"type": "object"})
    assert guess(f'{{"a": {text}}}') == f'{{"a": {text}}}'
    with pytest.raises(InvalidRequest, match="64 bits"):
        body_arguments(f"[{text}]".encode(), "application/json", None)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"a": 1, "a": 2}'),
        ("application/json", b'[{"b": {"a": 1, "a": 2}}]'),
        ("application/msgpack", b"\x82\xa1a\x01\xa1a\x02"),
        ("application/msgpack", b"\xde\x00\x02\xa1a\x01\xa1a\x02"),
        ("application/msgpack", b"\xdf\x00\x00\x00\x02\xa1a\x01\xa1a\x02"),
    ],
)
def test_a_name_that_comes_twice_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="twice"):
        body_arguments(body, kind, None)


def test_alternatives_of_a_schema_are_looked_at_within_bounds() -> None:
    deep: dict[str, Any] = {"type": "integer"}
    for _ in range(10_000):
        deep = {"allOf": [deep]}
    assert convert("1", deep) == 1  # as if nothing were known
    wide = {"anyOf": [{"anyOf": [{"type": "string"}] * 1000}] * 1000}
    looked_at = []

    class Watched(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            looked_at.append(key)
            return super().get(key, default)

    convert("1", {"anyOf": [Watched({"type": "string"})] * 10_000})
    assert len(looked_at) <= 4 * MAX_OPTIONS
    assert convert("a", wide) == "a"
    assert convert("1", {"type": "integer", "anyOf": 5, "allOf": "x"}) == 1
