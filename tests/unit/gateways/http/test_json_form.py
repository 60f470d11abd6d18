"""What becomes of values that JSON does not know."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import msgpack
import numpy as np
import pytest

from hypha.errors import InvalidRequest, ResultNotJson
from hypha.gateways.http.json_form import MAX_NUMBERS, JsonForm, JsonWriter, is_weighty
from hypha.gateways.http.results import LARGE_BYTES, _large_pieces, encode_json


def sent(array: Any) -> dict[str, Any]:
    """As the Python client sends arrays and numbers of numpy."""
    return {
        "_rtype": "ndarray", "_rvalue": array.tobytes(), "_rshape": list(array.shape),
        "_rdtype": str(array.dtype),
    }  # fmt: skip


def answered(value: Any, **form: str) -> Any:
    return json.loads(encode_json(value, JsonForm(**form)))


@pytest.mark.parametrize(
    "dtype",
    ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
     "float64", ">i4", ">f8", "<U5", ">U3"],
)  # fmt: skip
@pytest.mark.parametrize(
    "shape", [(), (1,), (6,), (2, 3), (3, 1, 2), (0,), (0, 3), (3, 0), (2, 0, 4), (1, 1)]
)
def test_arrays_are_nested_lists(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    assert answered({"a": [sent(array)]}) == {"a": [array.tolist()]}


def test_numbers_of_numpy_are_numbers() -> None:
    values = [np.float32(0.5), np.int64(-(2**62)), np.bool_(True), np.uint8(255), np.float64("nan")]
    assert answered([sent(value) for value in values]) == [0.5, -(2**62), True, 255, None]


def test_complex_numbers_are_pairs_and_times_text() -> None:
    assert answered(sent(np.array([1 + 2j, 3j], "complex64"))) == [[1, 2], [0, 3]]
    times = np.array(["2024-05-06T07:08:09.123456789", "NaT", "1969-12-31T23:59:59.5"], "datetime64[ns]")
    assert answered(sent(times)) == ["2024-05-06T07:08:09.123456789", None, "1969-12-31T23:59:59.500000"]
    assert answered(sent(np.array(["2024-05-06"], "datetime64[D]"))) == ["2024-05-06T00:00:00"]
    assert answered(sent(np.array([2**62], "datetime64[s]"))) == [2**62]


@pytest.mark.parametrize("dtype", ["object", "float128", "[('a', '<i4')]", "V8", "f3", "U0", "x" * 999, ""])
def test_arrays_of_other_types_stay_described(dtype: str) -> None:
    value = {"_rtype": "ndarray", "_rvalue": b"\x01" * 12, "_rshape": [3], "_rdtype": dtype}
    assert answered(value) == {**value, "_rvalue": base64.b64encode(b"\x01" * 12).decode()}


@pytest.mark.parametrize(
    "shape",
    [
        [4],
        [-1],
        [2, 2],
        "3",
        None,
        [1.0],
        [True, 3],
        [1] * 65,
        [10**9, 0],
        [0] * 3,
        [2**63, 2**63],
        [3] + [1] * 20,
    ],
)
def test_shapes_that_do_not_fit_stay_described(shape: Any) -> None:
    value = {"_rtype": "ndarray", "_rvalue": b"\x01\x02\x03", "_rshape": shape, "_rdtype": "uint8"}
    assert answered(value)["_rvalue"] == "AQID"
    for hollow in ([10**9, 0], [10**6, 0], [17, 0], [4, 4, 0]):  # many lists for no bytes at all
        assert answered({**value, "_rvalue": b"", "_rshape": hollow})["_rvalue"] == ""
    assert answered({**value, "_rvalue": b"", "_rshape": [2, 0]}) == [[], []]


def test_other_tagged_values_become_plain() -> None:
    trace = "Traceback (most recent call last):\n  File \"/home/x.py\", line 1\nKeyError: 'x'\n"
    assert answered(
        [
            {"_rtype": "typedarray", "_rvalue": b"\x01\0\x02\0", "_rdtype": "int16"},
            {"_rtype": "memoryview", "_rvalue": b"abc"},
            {"_rtype": "set", "_rvalue": [1, {"_rtype": "memoryview", "_rvalue": b"abc"}]},
            {"_rtype": "orderedmap", "_rvalue": [["b", 1], ["a", b"abc"]]},
            {"_rtype": "orderedmap", "_rvalue": [[1, 2]]},
            {"_rtype": "error", "_rvalue": "'x'", "_rtrace": trace},
            {"_rtype": "pydantic_model", "_rvalue": {"a": 1, "b": {"c": b"abc"}}, "_rschema": {"title": "A"}},
            {"_rtype": "stranger", "x": b"abc"},
            b"abc", bytearray(b"abc"), msgpack.ExtType(5, b"abc"), msgpack.Timestamp(0, 1000),
            msgpack.Timestamp(2**60), {1}, 1j, float("inf"), 2**64 - 1, -(2**63),
        ]
    ) == [
        [1, 2], "YWJj", [1, "YWJj"], {"b": 1, "a": "YWJj"}, [[1, 2]], {"error": "KeyError: 'x'"},
        {"a": 1, "b": {"c": "YWJj"}},
        {"_rtype": "stranger", "x": "YWJj"}, "YWJj", "YWJj", {"_rtype": "ext", "code": 5, "_rvalue": "YWJj"},
        "1970-01-01T00:00:00.000001+00:00", 2**60, [1], [0, 1], None, 2**64 - 1, -(2**63),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "tag", ["ndarray", "typedarray", "memoryview", "set", "orderedmap", "error", "pydantic_model"]
)
@pytest.mark.parametrize(
    "rest", [{}, {"_rvalue": 5}, {"_rvalue": "x", "_rdtype": 1, "_rshape": 1}, {"_rvalue": [5]}]
)
def test_what_is_not_as_its_tag_says_is_no_fault(tag: str, rest: dict[str, Any]) -> None:
    encode_json({"_rtype": tag, **rest})
    encode_json({"_rtype": [tag], **rest})


def test_the_caller_may_choose_otherwise() -> None:
    array = sent(np.arange(3, dtype="uint8"))
    assert answered(array, arrays="base64") == {**array, "_rvalue": "AAEC"}
    assert answered({"a": b"\x00\xff"}, bytes="list") == {"a": [0, 255]}
    for pairs, form in (
        ([], JsonForm()),
        ([("_arrays", "base64"), ("x", "list")], JsonForm("base64")),
        ([("_bytes", "list")], JsonForm(bytes="list")),
    ):
        assert JsonForm.asked_for(pairs) == form
    with pytest.raises(InvalidRequest, match="_bytes is 'list' or 'base64', not 'hex'"):
        JsonForm.asked_for([("_bytes", "hex")])


def test_keys_that_are_no_text_become_text() -> None:
    keys = {1: 1, 2.5: 2, None: 3, b"b": 4, b"\xff": 5, msgpack.Timestamp(0): 6}
    assert answered([{"deep": keys}]) == [
        {"deep": {"1": 1, "2.5": 2, "null": 3, "b": 4, "/w==": 5, "1970-01-01T00:00:00+00:00": 6}}
    ]
    assert json.loads(encode_json({False: b"x"})) == {"false": "eA=="}


def test_too_much_is_refused_with_a_hint() -> None:
    many = sent(np.zeros(MAX_NUMBERS // 2 + 1, "uint8"))
    with pytest.raises(ResultNotJson, match="arrays of over 1,000,000 numbers"):
        encode_json([sent(np.zeros((300_000, 1, 1), "uint8"))] * 2)
    encode_json(many)
    with pytest.raises(ResultNotJson, match="arrays of over 1,000,000 numbers") as caught:
        encode_json([many, many])
    assert "_arrays=base64" in str(caught.value.hint)
    with pytest.raises(ResultNotJson, match="over 16,777,216 bytes"):
        encode_json(bytes(17 * 1024 * 1024))


def test_arrays_of_many_lists_are_not_made_on_the_event_loop() -> None:
    def array(shape: Any) -> list[dict[str, Any]]:
        count = math.prod(size for size in shape if isinstance(size, int))
        return [{"_rtype": "ndarray", "_rvalue": bytes(max(count, 0)), "_rdtype": "u1", "_rshape": shape}]

    for large in ([10_000, 1], [5000, 1, 1, 1, 1], [LARGE_BYTES + 1]):
        assert is_weighty(array(large), LARGE_BYTES)
    for small in ([30_000], [2, 15_000], [100, 1, 1], [], ["x"], [-1], [True], [1] * 65):
        assert not is_weighty(array(small), LARGE_BYTES)


def test_what_is_written_in_turns_is_the_same() -> None:
    array = sent(np.arange(200_000, dtype="float32").reshape(2, -1))
    value = {"a": array, "b": bytes(300_000), "c": [{"d": {b"k": array}}]}
    pieces = _large_pieces(value, False, JsonWriter(JsonForm()))
    assert b"".join(pieces) == encode_json(value)


def test_the_writer_says_what_it_chose() -> None:
    writer = JsonWriter(JsonForm())
    assert writer.note == ""
    writer.turn("ndarray", sent(np.arange(3)))
    assert writer.note == "arrays=list"
    writer.default(b"")
    assert writer.note == "arrays=list, bytes=base64"
