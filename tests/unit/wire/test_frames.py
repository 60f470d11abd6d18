"""The envelope parser and the sender's stamp."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypha.errors import MalformedFrame
from hypha.wire.frames import EnvelopeParser, Stamp, encode, payload
from tests.frames import decode

USER = {"id": "u", "roles": [], "email": None}
CALL = bytes.fromhex(
    "85a474797065a66d6574686f64a466726f6da3772f63a2746fa3772f70a66d6574686f64ac73657276696365732e732e66"
    "a773657373696f6ea25331"
)
CALL_BODY = bytes.fromhex("83a4617267739101a770726f6d697365a12aa174cb402e000000000000")
REPLY = bytes.fromhex(
    "85a474797065a66d6574686f64a466726f6da3772f70a2746fa3772f63a66d6574686f64aa53312e7265736f6c7665"
    "a6706172656e74a25331"
) + bytes.fromhex("81a4617267739102")
EVENT = bytes.fromhex("83a474797065a66d792d657674a2746fa12aa46461746181a17101")


def pack(*parts: object) -> bytes:
    return b"".join(msgpack.packb(part) for part in parts)


def main(**extra: object) -> dict[str, object]:
    return {"type": "method", "from": "w/c", "to": "w/p", "method": "services.s.f", "session": "S1", **extra}


def test_the_vectors_of_the_specification_are_read() -> None:
    parse = EnvelopeParser().parse
    envelope, head, interval = parse(CALL + CALL_BODY)
    assert (envelope, head, interval) == (main(), 60, 15.0)
    assert parse(REPLY)[0]["method"] == "S1.resolve"
    assert parse(EVENT)[0] == {"type": "my-evt", "to": "*", "data": {"q": 1}}


@pytest.mark.spec("wire-16.2")
@pytest.mark.parametrize("key", "from ws user to ctx method session parent type x".split())
def test_a_body_key_that_would_override_the_envelope_is_refused(key: str) -> None:
    parser = EnvelopeParser()
    for filler in (b"", b"z" * 20_000):
        frame = pack(main(), {"args": [filler], key: "forged"})
        with pytest.raises(MalformedFrame) as refused:
            parser.parse(frame)
        assert refused.value.session == "S1"
        assert refused.value.target == "w/p"
    assert parser.parse(CALL + CALL_BODY)[2] == 15.0


@pytest.mark.parametrize("interval", [1e-9, 0, 0.0, -1, -1e300, float("nan"), "5", [5], 0.0099])
def test_a_callee_is_not_asked_for_heartbeats_without_a_pause(interval: Any) -> None:
    """The libraries send them as often as they are told, as long as a call runs."""
    parser = EnvelopeParser()
    resolve = {"resolve": {"_rtarget": "w/c", "_rmethod": "S1.resolve"}}
    for filler in (b"", b"z" * 20_000):
        for fields in ({"promise": "*", "t": interval}, {"promise": {**resolve, "interval": interval}}):
            with pytest.raises(MalformedFrame, match=r"heartbeats may be asked for each 0.01 s") as refused:
                parser.parse(pack(main(), {"args": [filler], **fields}))
            assert refused.value.session == "S1"
        for usual, known in ((0.01, 0.01), (15, 15.0), (float("inf"), None), (None, None)):
            body = {"args": [filler], "promise": {**resolve, "interval": usual}, "t": usual}
            assert parser.parse(pack(main(), body))[2] == known


@pytest.mark.spec("wire-16.2")
@pytest.mark.parametrize(
    "tail",
    [
        pack({"args": []}, {"args": []}),
        pack([1]),
        pack(5),
        b"\x82" + pack("args", [], "args", [1]),
        b"\xc1",
        b"\x81",
        b"\x81" + pack("args") + b"\xdd\xff\xff\xff\xff",
        b"\x81" + pack(7, 1),
        b"\x81" + pack("args") + b"\x91" * 5000,
    ],
)
def test_anything_but_one_map_after_the_envelope_is_refused(tail: bytes) -> None:
    parser = EnvelopeParser()
    with pytest.raises(MalformedFrame):
        parser.parse(pack(main()) + tail)
    with pytest.raises(MalformedFrame):
        parser.parse(pack(main(parent="p" * 9000)) + tail)
    assert parser.parse(CALL)[0] == main()


@pytest.mark.spec("wire-13")
@pytest.mark.parametrize(
    "frame",
    [b"", b"\x00", b"\xc1", b"\x81", pack([1, 2]), b"\x81" + pack(1, 2), pack("text"),
     b"\xdf\xff\xff\xff\xff", b"\x82" + pack("to", "a", "to", "b"), b"\x81" * 3000, b"\x81\xa1a" * 3000],
)  # fmt: skip
def test_what_is_not_a_map_with_text_keys_is_refused(frame: bytes) -> None:
    with pytest.raises(MalformedFrame):
        EnvelopeParser().parse(frame)


def test_an_honest_envelope_is_kept_and_extended() -> None:
    stamp = Stamp("w/c", "w", USER)
    frame = CALL + CALL_BODY
    envelope, head, _ = EnvelopeParser().parse(frame)
    sent = bytes(payload(stamp.apply(envelope, frame, head, "w/p", True)))
    assert sent[1:head] == CALL[1:]
    assert sent.endswith(CALL_BODY)
    assert decode(sent) == ({**main(), "ws": "w", "user": USER}, {"args": [1], "promise": "*", "t": 15.0})


def test_answers_carry_no_user() -> None:
    envelope, head, _ = EnvelopeParser().parse(REPLY)
    sent = Stamp("w/p", "w", USER).apply(envelope, REPLY, head, "w/c", False)
    assert decode(payload(sent))[0] == {**envelope, "ws": "w"}


@pytest.mark.spec("wire-16.1", "wire-16.3", "wire-40")
def test_whatever_a_client_claims_to_be_is_replaced() -> None:
    forged = main(ctx={"user": {"id": "root"}}, user={"id": "root"}, ws="other")
    forged["from"] = "other/victim"
    frame = pack(forged, {"args": []})
    envelope, head, _ = EnvelopeParser().parse(frame)
    sent, _ = decode(payload(Stamp("w/c", "w", USER).apply(envelope, frame, head, "w/p", True)))
    assert sent == {**main(), "ws": "w", "user": USER}


def test_a_relative_target_is_made_absolute() -> None:
    frame = pack({**main(), "to": "p"}, {"args": []})
    envelope, head, _ = EnvelopeParser().parse(frame)
    sent = Stamp("w/c", "w", USER).apply(envelope, frame, head, "w/p", False)
    assert decode(payload(sent))[0]["to"] == "w/p"


@pytest.mark.parametrize("size", [100, 7_000, 8_000, 9_000, 262_144])
@pytest.mark.parametrize("view", [bytes, memoryview])
def test_large_bodies_pass_untouched(size: int, view: type) -> None:
    body = {"args": ["key", 3, b"x" * size, False, {"n": [1.5, None, True] * 400}], "promise": "*", "t": 7}
    frame = view(pack(main(), body))
    envelope, head, interval = EnvelopeParser().parse(frame)
    sent = Stamp("w/c", "w", USER).apply(envelope, frame, head, "w/p", True)
    assert interval == 7.0
    assert decode(payload(sent))[1] == body


def test_an_event_with_a_large_envelope_is_read() -> None:
    frame = pack({"type": "e", "to": "*", "data": "x" * 50_000})
    assert EnvelopeParser().parse(frame)[1] == len(frame)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
    | st.text(max_size=20) | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.lists(values, max_size=5), st.integers(0, 12_000))
def test_any_honest_frame_is_routed_unchanged(args: list[object], filler: int) -> None:
    body = {"args": [*args, b"f" * filler], "promise": "*", "t": 15.0}
    frame = pack(main(), body)
    envelope, head, interval = EnvelopeParser().parse(frame)
    assert (interval, frame[head:]) == (15.0, pack(body))
    sent = Stamp("w/c", "w", USER).apply(envelope, frame, head, "w/p", True)
    assert bytes(payload(sent)).endswith(pack(body))


@given(st.binary(max_size=400), st.integers(0, 88), st.booleans())
def test_garbage_never_raises_anything_else(noise: bytes, cut: int, is_long: bool) -> None:
    parser = EnvelopeParser()
    frame = (CALL + CALL_BODY)[:cut] + noise + (bytes(8100) if is_long else b"")
    try:
        parser.parse(frame)
    except MalformedFrame:
        pass
    assert parser.parse(CALL + CALL_BODY)[0] == main()


def test_frames_of_the_server_decode_again() -> None:
    assert decode(payload(encode({"type": "e", "to": "*"}))) == ({"type": "e", "to": "*"}, {})
    with pytest.raises(MalformedFrame):
        decode(b"\x93\x01\x02")


def test_a_receiver_learns_of_the_senders_rights_where_it_is() -> None:
    def facts_for(workspace: str) -> dict[str, Any]:
        return {"id": "anna", "workspaces": [workspace]}

    stamp = Stamp("w/c", "w", {"id": "anna", "workspaces": ["w", "x", "y"]}, facts_for)
    envelope = {"type": "method", "from": "w/c", "to": "x/p", "method": "services.s.f", "session": "1"}
    frame = pack(envelope)
    for odd in ({}, {"user": "forged"}):
        main = {**envelope, **odd}
        for workspace in ("x", "y", "x"):
            main["to"] = f"{workspace}/p"
            sent, _ = decode(payload(stamp.apply(dict(main), frame, len(frame), main["to"], True)))
            assert sent["user"] == {"id": "anna", "workspaces": [workspace]}
    assert stamp.user_for("y")["workspaces"] == ["y"]
