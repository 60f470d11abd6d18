"""What all client libraries can read of packed values, and of names of sessions."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from hypha.errors import MalformedFrame, TooManyValues
from hypha.wire.readable import MAX_ENTRIES, Reader, is_session, may_be_nested

P = msgpack.packb
OVERLONG = b"\xaa\xc1\x9f_proto__"

UNREADABLE = {
    "__proto__": b"\x81\xa9__proto__\x01",
    "__proto__ with a longer head": b"\x81\xd9\x09__proto__\x01",
    "__proto__ in longer UTF-8": b"\x81" + OVERLONG + b"\x01",
    "hasOwnProperty": P({"hasOwnProperty": 1}),
    "a key of bytes": P({b"k": 1}),
    "a key that is null": b"\x81\xc0\x01",
    "a key that is true": b"\x81\xc3\x01",
    "a key that is a fraction": P({1.5: 1}),
    "a key that is a list": b"\x81\x91\x01\x01",
    "a key that is a map": b"\x81\x81\x01\x01\x01",
    "a key that is a time": b"\x81" + P(msgpack.Timestamp(5)) + b"\x01",
    "a key of another kind": b"\x81\xd4\x05\x00\x01",
    "a time of no byte": b"\xc7\x00\xff",
    "a time of one byte": b"\xd4\xff\x00",
    "a time of sixteen bytes": b"\xd8\xff" + bytes(16),
    "a text that is not UTF-8": b"\x81\xa1a\xa2\xff\xfe",
}


def plain_values() -> list[Any]:
    deep: Any = {"end": None}
    for _ in range(300):
        deep = [deep]
    return [
        {"a": {"b": [1, {"c": "__proto__"}]}, "": "hasOwnProperty"}, {5: 1, -1: 2},
        msgpack.Timestamp(2**33, 5), msgpack.ExtType(5, b"x"), {"x": b"__proto__", "y": 2.5},
        {"constructor": 1, "toString": 2, "then": 3},
        deep, {"x": list(range(100_000))}, {"x": [1.5] * 100_000}, {"x": bytes(300_000)},
    ]  # fmt: skip


@pytest.mark.parametrize("packed", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("size", [0, MAX_ENTRIES], ids=["small", "large"])
def test_what_some_library_cannot_read_is_refused(packed: bytes, size: int) -> None:
    reader = Reader()
    body = P("pad") + P(bytes(size)) + P("args") + b"\x93" + P(1) + packed + P(2)
    for _ in range(2):  # the unpacker goes on after what it could not unpack
        with pytest.raises(MalformedFrame):
            reader.check(b"\x82" + body)
        reader.check(P({"args": ["fine"]}))
    assert may_be_nested(b"\x82" + body, 0)


@pytest.mark.parametrize("value", plain_values(), ids=lambda value: str(value)[:20])
def test_what_people_send_passes(value: Any) -> None:
    Reader().check(P({"args": [value], "promise": "*", "t": 15.0}))


def test_a_text_that_javascript_cut_in_half_passes() -> None:
    Reader().check(b"\x81\xa4args\x91\xa3\xed\xa0\xbd")


def test_numbers_texts_and_lists_need_no_look() -> None:
    assert not may_be_nested(P({"args": ["text", 1, -5, 2.5, [1, None, True]], "promise": "*", "t": 15.0}), 0)
    assert may_be_nested(P({"args": [{"a": 1}]}), 0)


@pytest.mark.parametrize("part", [b"\x80", b"\x90", b"\xd4\x05\x00", b"\x81\xa0\xc0", b"\x81\x01\xc0"])
def test_very_many_maps_and_lists_are_refused(part: bytes) -> None:
    packed = b"\x81\xa1x\xdd" + (MAX_ENTRIES + 1).to_bytes(4) + part * (MAX_ENTRIES + 1)
    with pytest.raises(TooManyValues, match="send arrays instead"):
        Reader().check(packed)


@pytest.mark.parametrize(
    "name", ["__proto__", "__proto__.x", "a.__proto__.b", "constructor", "constructor.prototype._rtype",
             "services", "services.svc", "message_cache", 5, b"a", ["a"], {"a": 1}],
)  # fmt: skip
def test_no_session_has_a_name_that_leads_elsewhere(name: object) -> None:
    assert not is_session(name)


@pytest.mark.parametrize("name", [None, "aVx9", "aVx9.b2", "a-b_c", "", "my.services", "toString1"])
def test_sessions_have_any_other_name(name: object) -> None:
    assert is_session(name)
