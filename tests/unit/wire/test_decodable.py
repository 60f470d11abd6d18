"""Promise: what others get from the server can be decoded by the libraries, and makes no function."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import msgpack
import numpy as np
import orjson
import pytest
from hypha_rpc.rpc import RPC

from hypha.errors import InvalidRequest
from hypha.wire.decodable import (
    check_handed_on,
    check_key,
    check_read,
    check_shown,
    made_decodable,
    may_be_odd,
    shown_key,
    unplain_place,
)


def array(dtype: str = "float32", shape: Any = (2, 3), data: Any = None) -> dict[str, Any]:
    made = bytes(np.zeros(shape, dtype).nbytes) if data is None else data
    return {"_rtype": "ndarray", "_rvalue": made, "_rshape": list(shape), "_rdtype": dtype}


DATA: list[Any] = [
    *(array(name) for name in "bool int8 uint16 int64 uint64 float16 float64 complex64 complex128".split()),
    array(shape=()),
    array(shape=(0, 3)),
    {"_rtype": "typedarray", "_rvalue": bytes(8), "_rdtype": "float64"},
    {"_rtype": "memoryview", "_rvalue": b"abc"},
    {"_rtype": "set", "_rvalue": [1, "a", None]},
    {"_rtype": "set", "_rvalue": []},
    {"_rtype": "orderedmap", "_rvalue": [["a", {"b": [1]}], [2, None]]},
]
METHOD = {"_rtype": "method", "_rtarget": "w/c", "_rmethod": "services.a.b"}
HANDED_ON: list[Any] = [
    METHOD,
    {**METHOD, "_rtype": "generator", "_rclose_method": "x.close"},
    {"_rtype": "error", "_rvalue": "ValueError: no", "_rtrace": ""},
    {"_rtype": "iostream", "_rnative": "py:file", "read": METHOD},
    {"_rtype": "pydantic_model", "_rvalue": {"a": 1}, "_rschema": {"title": "A", "properties": {}}},
    {"_rtype": "my-codec", "x": 1},
    {"_rtype": "ndarray", "_rvalue": b"12345678", "_rshape": [1], "_rdtype": "datetime64[ns]"},
]
TAGS = "ndarray error memoryview pydantic_model typedarray iostream generator method set orderedmap".split()
BROKEN: list[Any] = [
    *({"_rtype": tag} for tag in (*TAGS, "stop_iteration")),
    *({"_rtype": tag} for tag in ([], {}, 5, None, ["set"])),
    array("float32", (5,), b"1234"), array("float32", (-1,), b""),
    array("float32", (0, 2**40, 2**40), b""), array("float32", [1] * 33, b"1234"),
    array(shape=(True,), data=b"1234"), array(data=[b"1234"]), {**array(), "_rshape": None},
    array("float32", (2**20, 0, 2**20), b""), {**array(), "_rdtype": ["float32"]},
    {"_rtype": "typedarray", "_rvalue": bytes(3), "_rdtype": "int16"},
    {"_rtype": "typedarray", "_rvalue": bytes(8), "_rdtype": "int64"},  # not in JavaScript
    {"_rtype": "memoryview", "_rvalue": "text"},
    {"_rtype": "set", "_rvalue": [[1]]}, {"_rtype": "set", "_rvalue": [{}]},
    {"_rtype": "set", "_rvalue": "a"},
    {"_rtype": "orderedmap", "_rvalue": [[["a"], 1]]}, {"_rtype": "orderedmap", "_rvalue": [["a"]]},
    {"_rtype": "orderedmap", "_rvalue": {"a": 1}}, {"_rtype": "orderedmap", "_rvalue": ["ab"]},
    {"_rtype": "set", "_rvalue": [], "more": {"_rtype": "set"}},
    {"__proto__": 1}, {"hasOwnProperty": 1}, {b"bytes": 1}, {1: 1},
]  # fmt: skip
ALSO_NOT_HANDED_ON: list[Any] = [
    {**METHOD, "_rtarget": 5}, {**METHOD, "_rmethod": None}, {**METHOD, "_rname": 5},
    {**array(), "_rdtype": "object"}, {**array(), "_rdtype": "[('a', '<f4')]"}, {**array(), "_rdtype": "|O"},
    {"_rtype": "error", "_rvalue": 5}, {"_rtype": "iostream", "read": 5},
    {"_rtype": "pydantic_model", "_rvalue": [], "_rschema": {}},
]  # fmt: skip


class Library:
    """The decoder of the Python library, with nothing around it."""

    NUMPY_MODULE = np
    _log = logging.getLogger(__name__)
    _all_scalars_list = staticmethod(RPC._all_scalars_list)
    _all_primitives_dict = staticmethod(RPC._all_primitives_dict)
    _codecs: dict[str, Any] = {}  # noqa: RUF012
    decode = _decode = RPC._decode
    _generate_remote_method = RPC._generate_remote_method


def places(value: Any) -> Iterator[Any]:
    """The value in several places."""
    yield {"a": value}
    yield {"a": [1, {"b": [[value]]}], "c": "d"}
    yield [{"_rtype": "orderedmap", "_rvalue": [["k", value]]}]


@pytest.mark.parametrize("value", [*DATA, 5, None, "the word _rtype", {"a": "_rtype", "b": ["__proto__"]}])
def test_whole_data_passes_and_the_library_decodes_it(value: Any) -> None:
    for placed in places(value):
        before = deepcopy(placed)
        check_shown(placed, "x")
        check_handed_on(placed, "x")
        assert made_decodable(placed) == before
        Library().decode(msgpack.unpackb(msgpack.packb(placed)))  # type: ignore[misc, call-arg, arg-type]


@pytest.mark.parametrize("value", [*BROKEN, *ALSO_NOT_HANDED_ON, *HANDED_ON], ids=repr)
def test_what_others_could_not_decode_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^'x' ") as caught:
        check_shown({"a": [0, {"b": value}]}, "x")
    has_text_keys = isinstance(value, dict) and all(isinstance(key, str) for key in value)
    assert not has_text_keys or "at 'a.1.b" in caught.value.message
    for placed in places(value) if has_text_keys else ():
        with pytest.raises(InvalidRequest):
            check_read(placed, "x")


@pytest.mark.parametrize("value", HANDED_ON)
def test_functions_errors_and_own_codecs_are_handed_on(value: Any) -> None:
    check_handed_on({"a": [value]}, "task")


@pytest.mark.parametrize("value", [*BROKEN, *ALSO_NOT_HANDED_ON], ids=repr)
def test_broken_values_are_not_handed_on(value: Any) -> None:
    with pytest.raises(InvalidRequest):
        check_handed_on({"a": [value]}, "task")


@pytest.mark.parametrize(
    "value", [value for value in BROKEN + HANDED_ON if b"bytes" not in value and 1 not in value]
)
def test_what_was_stored_before_is_shown_with_its_keys_in_brackets(value: Any) -> None:
    for placed in places(deepcopy(value)):
        assert may_be_odd(msgpack.packb(placed))
        shown = made_decodable(placed)
        check_shown(shown, "x")
        Library().decode(shown)  # type: ignore[misc, call-arg, arg-type]
    text = orjson.dumps({"_rtype": "ndarray", "x": 1}).decode()
    assert may_be_odd(text)
    assert made_decodable(orjson.loads(text)) == {"(_rtype)": "ndarray", "x": 1}
    assert not may_be_odd('{"rtype": 1}')


def test_a_long_way_to_the_place_is_cut() -> None:
    value: Any = {"_rtype": "x"}
    for _ in range(50):
        value = {"k" * 1000: value}
    with pytest.raises(InvalidRequest) as caught:
        check_shown(value, "x")
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("name", ["_rtype", "__proto__", "hasOwnProperty"])
def test_a_name_that_becomes_a_key_is_none_of_the_odd_ones(name: str) -> None:
    with pytest.raises(InvalidRequest, match="choose another name"):
        check_key(name, "the name of a variable")
    assert shown_key(name) == f"({name})"
    check_key("rtype", "the name of a variable")
    assert shown_key("rtype") == "rtype"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": [1, {"thr": array(shape=())}]}, " An array or number of numpy at 'a.1.thr': send"),
        (array(), " An array or number of numpy is it: send what"),
        ({"a": [b"x"]}, " Bytes at 'a.0': send them"),
        ({"a": {5: 1}}, " A key that is no text at 'a.5'."),
        ([msgpack.Timestamp(1)], " A value of another kind at '0': send it as text."),
        ({"a": [1, None, True, 1.5, "x"]}, ""),
    ],
)
def test_what_json_cannot_say_is_named_with_its_place(value: Any, said: str) -> None:
    assert unplain_place(value).startswith(said) and bool(unplain_place(value)) == bool(said)
