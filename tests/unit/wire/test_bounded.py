"""A message of millions of values is refused before it is unpacked."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from hypha.errors import InvalidRequest, MalformedFrame, TooManyValues
from hypha.gateways.http.parameters import MAX_JSON_CONTAINERS, body_arguments
from hypha.wire.bounded import MAX_VALUES, unpack
from hypha.wire.frames import MAX_DENSE_BYTES, EnvelopeParser, decode_body
from hypha.wire.pieces import open_message

MAIN = {"type": "method", "from": "w/c", "to": "*/m", "method": "services.a.b", "session": "s"}
MANY: dict[str, Any] = {
    "one long list": [1] * (MAX_VALUES + 1),
    "many short lists": [[]] * (MAX_VALUES // 8),
    "many lists": [[1] * 1000] * (MAX_VALUES // 1000 + 1),
    "many maps": [{"a": 1}] * (MAX_VALUES // 8),
}


@pytest.mark.spec("faults-F14")
@pytest.mark.parametrize("args", MANY.values(), ids=MANY.keys())
def test_too_many_values_are_refused_whichever_way_they_come(args: list[Any]) -> None:
    head, body = msgpack.packb(MAIN), msgpack.packb({"args": [args]})
    with pytest.raises(MalformedFrame, match="values; send bytes or arrays"):
        decode_body(head + body, len(head))
    with pytest.raises(MalformedFrame, match="values; send bytes or arrays"):
        open_message([head + body])


@pytest.mark.parametrize(
    "value",
    [[1] * 400_000, [[]] * 50_000, [{"a": 1}] * 40_000, ["text" * 10_000] * 100, [b"x" * 1_000_000]],
    ids=["numbers", "lists", "maps", "text", "bytes"],
)
def test_large_but_ordinary_values_are_unpacked(value: Any) -> None:
    assert unpack(msgpack.packb(value)) == value


@pytest.mark.spec("faults-F14")
@pytest.mark.parametrize(
    "data",
    [
        msgpack.packb({**MAIN, "x": [[]] * 100_000}),
        msgpack.packb(MAIN) + b"\xde\x00\x01" + msgpack.packb([[]] * 100_000) + b"\xc0",
        msgpack.packb(MAIN) + b"\x81" + msgpack.packb([[]] * 100_000) + b"\xc0",
    ],
    ids=["in the envelope", "as a key", "as a key of a short map"],
)
def test_envelopes_and_keys_of_many_values_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedFrame):
        EnvelopeParser().parse(data)


@pytest.mark.parametrize("kind", ["application/json", "application/msgpack"])
def test_http_bodies_of_too_many_values_are_refused(kind: str) -> None:
    count = MAX_JSON_CONTAINERS + 1
    body = b"[" + b"[]," * count + b"[]]" if "json" in kind else msgpack.packb([[]] * count)
    body += b" " * (4_000_000 - len(body)) if "json" in kind else b""
    with pytest.raises(InvalidRequest, match=r"brackets|values"):
        body_arguments(body + b" " * ("json" in kind), kind, None)
    if kind == "application/json":
        assert body_arguments(b'"' + b"a,b" * 2_000_000 + b'"', kind, None) == (["a,b" * 2_000_000], {})


@pytest.mark.spec("faults-F14")
def test_a_large_frame_of_many_values_is_refused_and_its_caller_known() -> None:
    data = msgpack.packb(MAIN) + msgpack.packb({"args": [[1] * (MAX_DENSE_BYTES + 1)]})
    with pytest.raises(TooManyValues, match="in chunks") as refused:
        EnvelopeParser().parse(data)
    assert refused.value.session == "s"


@pytest.mark.parametrize(
    "args",
    [[[1.5] * 200_000], [bytes(15_000_000)], [["text" * 2000] * 1500], [[b"x" * 300_000] * 40]],
    ids=["numbers of 1.8 MB", "bytes", "texts", "pieces"],
)
def test_other_large_frames_pass(args: list[Any]) -> None:
    data = msgpack.packb(MAIN) + msgpack.packb({"args": args})
    assert EnvelopeParser().parse(data)[0] == MAIN


@pytest.mark.parametrize("pad", [0, 20_000, 100_000], ids=["short", "long", "in pieces"])
@pytest.mark.parametrize("seconds", [5, 2**33, 2**40])
def test_a_time_is_no_key_as_anybody_can_make_many_with_one_hash(pad: int, seconds: int) -> None:
    body = b"\x82" + msgpack.packb("pad") + msgpack.packb(bytes(pad)) + msgpack.packb("args")
    data = body + b"\x81" + msgpack.packb(msgpack.Timestamp(seconds)) + b"\x01"
    with pytest.raises(MalformedFrame, match="key that is not text"):
        decode_body(data, 0, any_keys=True)
    whole = body + msgpack.packb({5: msgpack.Timestamp(seconds), None: "x"})
    assert decode_body(whole, 0, any_keys=True)["args"][5] == msgpack.Timestamp(seconds)
