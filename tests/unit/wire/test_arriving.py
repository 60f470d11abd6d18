"""Messages that pass in chunks are looked into as single frames are."""

from __future__ import annotations

import contextlib
import random
from itertools import pairwise
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypha.errors import ForeignFunction, HyphaError, MalformedFrame, TooManyValues
from hypha.wire.arriving import ArrivingMessage
from hypha.wire.spelling import KEYS, places_of_keys
from tests.kit.quick import least_cpu_s

MAIN = {"type": "method", "from": "a/b", "to": "c/d", "method": "services.x.run", "session": "s"}
ODD_TIME = msgpack.ExtType(5, b"\xff" * 8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda key: key not in KEYS), inner),
    max_leaves=15,
)


def barred(name: str) -> str | None:
    return {"a/b": None, "c/d": "services.", "a/neighbour": "services.built-in."}.get(name, "")


def packed(body: dict[str, Any] | None, main: dict[str, Any] = MAIN) -> bytes:
    return msgpack.packb(main) + (b"" if body is None else msgpack.packb(body))


def look(data: bytes, size: int = 262_144, check: Any = lambda main: None) -> ArrivingMessage:
    """Feed a message in chunks of a size; the first one holds the envelope."""
    message = ArrivingMessage(check, barred)
    head = len(msgpack.packb(MAIN)) + 1
    cuts = [0, *range(max(head, size), len(data), size), len(data)]
    for begin, end in pairwise(cuts):
        if begin < end:
            message.feed(data[begin:end])
    return message


def overlong(text: str, size: int) -> bytes:
    """ASCII text with so many bytes for each letter."""
    tops = {1: (), 2: (0xC0,), 3: (0xE0, 0x80), 4: (0xF0, 0x80, 0x80)}[size]
    found = b""
    for code in text.encode():
        high = bytes((*tops[:-1], tops[-1] | code >> 6)) if tops else b""
        found += high + bytes((0x80 | code & 0x3F,)) if tops else bytes((code,))
    return found


@settings(max_examples=25, deadline=None)
@given(st.lists(PLAIN, max_size=5), st.sampled_from([1, 2, 3, 7, 100, 10_000]))
def test_any_honest_message_passes_in_chunks_of_any_size(args: list[Any], size: int) -> None:
    assert look(packed({"args": args, "promise": "*", "t": 15.0}), size).is_complete


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("key", ["from", "to", "ws", "user", "ctx", "method", "type", "session", "x", "args"])
def test_no_key_of_the_body_overrides_the_envelope(key: str, size: int) -> None:
    body = msgpack.packb(MAIN) + b"\x82" + msgpack.packb("args") + msgpack.packb([1]) + msgpack.packb(key)
    with pytest.raises(MalformedFrame, match="not allowed here"):
        look(body + msgpack.packb("*/root"), size)


@pytest.mark.parametrize("key", ["args", "promise", "caller_public_key", "x"])
def test_the_envelope_has_no_keys_of_the_body(key: str) -> None:
    with pytest.raises(MalformedFrame, match="envelope"):
        look(packed({"args": []}, {**MAIN, key: 1}))


def test_what_is_not_one_whole_message_is_not_complete_or_refused() -> None:
    data = packed({"args": [1, {"a": b"xyz"}]})
    for end in range(len(msgpack.packb(MAIN)) + 1, len(data)):
        assert not look(data[:end]).is_complete
    with pytest.raises(MalformedFrame, match="after the second map"):
        look(data + b"\x80")
    with pytest.raises(MalformedFrame, match="after the second map"):
        look(data + b"\x80", size=len(data))
    with pytest.raises(MalformedFrame, match="envelope"):
        ArrivingMessage(lambda main: None, barred).feed(data[:20])
    with pytest.raises(MalformedFrame):
        look(msgpack.packb(MAIN) + b"\x91\x01")


@pytest.mark.parametrize("size", [1, 9, 100_000])
@pytest.mark.parametrize(
    ("target", "method", "passes"),
    [
        ("a/b", "services.mine.run", True),
        ("a/b", "session.callback", True),
        ("c/d", "session.callback", True),
        ("c/d", "services.theirs.run", False),
        ("a/neighbour", "services.theirs.run", True),
        ("a/neighbour", "services.built-in.message_cache.set", False),
        ("*/manager", "services.default.generate_token", False),
        ("*/manager", "x", False),
    ],
)
def test_functions_name_whom_their_sender_may_name(target: str, method: str, passes: bool, size: int) -> None:
    for keys in (("_rtarget", "_rmethod"), ("_rmethod", "_rtarget"), ("_rclose_method", "_rtarget")):
        values = {"_rtarget": target, "_rmethod": method, "_rclose_method": method}
        value = {"_rtype": "method", **{key: values[key] for key in keys}}
        data = packed({"args": [[0.5] * 1000, {"deep": [value]}]})
        if passes:
            assert look(data, size).is_complete
            continue
        with pytest.raises(ForeignFunction):
            look(data, size)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("interval", [1e-9, 0, -1, float("nan"), "", "5", [], [5], {}, b"", 0.0099, ODD_TIME])
def test_heartbeats_are_not_asked_for_without_a_pause(interval: Any, size: int) -> None:
    many = {f"k{number}": number for number in range(1500)}
    for promise in ({"interval": interval}, {**many, "interval": interval}, None):
        fields = {"t": interval} if promise is None else {"promise": promise}
        with pytest.raises(MalformedFrame):
            look(packed({"args": [1], **fields, "_enc": 1}), size)
    for usual in (0.01, 15, 15.0, 2**40, None, float("inf")):
        assert look(packed({"t": usual, "promise": {"interval": usual}, "args": []}), size).is_complete
    assert look(packed({"args": [{"t": 0, "interval": 0}]}), size).is_complete


def test_an_answer_goes_to_a_session() -> None:
    value = {"_rtype": "method", "_rtarget": "a/b", "_rmethod": "services.mine.run"}
    with pytest.raises(ForeignFunction):
        look(packed({"args": [], "promise": {"resolve": value}}))


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    ("name", "odd"), [("data", 2**32), ("data", {"length": 9}), ("pub", 9), ("nonce", [9])]
)
def test_what_is_encrypted_is_bytes(name: str, odd: Any, size: int) -> None:
    seal = {"v": 2, "pub": bytes(32), "nonce": bytes(24)}
    look(packed({"_enc": seal, "data": bytes(5000)}), size)
    body = (
        {"_enc": seal, "data": odd} if name == "data" else {"_enc": {**seal, name: odd}, "data": bytes(5000)}
    )
    with pytest.raises(MalformedFrame, match="are bytes"):
        look(packed(body), size)


@pytest.mark.parametrize("letters", [2, 3, 4])
@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_is_longer_than_it_must_be_is_found(key: str, letters: int) -> None:
    spelt = overlong(key, letters)
    value = b"\xd9" + bytes((len(spelt),)) + spelt + msgpack.packb("*/manager")
    data = msgpack.packb(MAIN) + b"\x81" + msgpack.packb("args") + b"\x91\x81" + value
    for size in (1, 1000):
        with pytest.raises(MalformedFrame, match="UTF-8"):
            look(data, size)
    mixed = overlong(key[:3], letters) + key[3:].encode()
    assert places_of_keys(b"xx" + mixed + key.encode()) == [2, 2 + len(mixed)]


def dense(kind: str, count: int) -> Any:
    rng = random.Random(1)
    return {
        "numbers": [rng.random() for _ in range(count)],
        "pairs": [[number, number & 7] for number in range(count)],
        "records": [{"name": f"n{number}", "x": number, "tags": ["a", None]} for number in range(count)],
        "tree": {str(number): {"left": [number], "right": {"x": [{}]}} for number in range(count)},
        "empty": [[] if number % 2 else 7 for number in range(count)],
    }[kind]


@pytest.mark.parametrize("kind", ["numbers", "pairs", "records", "tree", "empty"])
def test_large_messages_of_many_small_values_pass_and_functions_in_them_are_found(kind: str) -> None:
    value = dense(kind, 30_000)
    function = {"_rtype": "method", "_rtarget": "a/b", "_rmethod": "services.mine.run"}
    assert look(packed({"args": [value, function, value]})).is_complete
    for place in (
        [value, {**function, "_rtarget": "*/m"}],
        [{"x": [{**function, "_rtarget": "*/m"}, value]}],
    ):
        with pytest.raises(ForeignFunction):
            look(packed({"args": place}))
    with pytest.raises(MalformedFrame):
        look(packed({"args": [value], "from": "*/m"}))


def test_a_method_is_not_overlooked_beside_many_values() -> None:
    value = {"_rmethod": "services.theirs.run", **{f"k{number}": number for number in range(9000)}}
    with pytest.raises(ForeignFunction):
        look(packed({"args": [list(map(str, range(900))), {**value, "_rtarget": "c/d"}]}))


@pytest.mark.parametrize(
    "chunk",
    [b"\x91" * 262_144, b"\x91\x01" * 131_072, b"\x81\xa1k\x90" * 65_536, b"\xc1\x9f" * 131_072,
     b"\x81\xa8_rtarget\xa3a/b" * 20_000, b"\xa1k\xa9" * 87_000, b"\xdc\x00\x02\x01" * 65_536],
)  # fmt: skip
def test_no_chunk_takes_long(chunk: bytes) -> None:
    head = msgpack.packb(MAIN) + b"\x81" + msgpack.packb("args") + b"\xdd\x7f\xff\xff\xff"

    def feed() -> None:
        message = ArrivingMessage(lambda main: None, barred)
        message.feed(head)
        with contextlib.suppress(MalformedFrame, TooManyValues):
            message.feed(chunk)

    assert least_cpu_s(feed) < 0.5  # some 50 ms on a quiet machine


def test_a_large_byte_string_is_stepped_over() -> None:
    message = ArrivingMessage(lambda main: None, barred)
    message.feed(msgpack.packb(MAIN) + b"\x81" + msgpack.packb("args") + b"\x91\xc6\x40\x00\x00\x00")
    chunk = b"_rtarget\xa9*/manager" * 14_000

    def feed() -> None:
        for _ in range(100):
            message.feed(chunk)

    assert least_cpu_s(feed) < 0.1
    assert not message.is_complete


def test_the_envelope_is_checked_with_the_first_chunk() -> None:
    def check(main: dict[str, Any]) -> None:
        raise HyphaError(main["method"])

    with pytest.raises(HyphaError, match=r"services\.x\.run"):
        look(packed(None), check=check)
