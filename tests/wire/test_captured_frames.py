"""Frames captured from the unmodified clients: each is read, routed and kept whole."""

from __future__ import annotations

from pathlib import Path

import msgpack
import pytest

from hypha.wire.frames import EnvelopeParser, Stamp, payload
from tests.frames import decode

FRAMES = Path(__file__).parent / "frames"
USER = {"id": "someone", "roles": ["anonymous"], "scope": {"workspaces": {"w": "a"}}}


def captured(way: str) -> list[bytes]:
    """All frames of one direction: `client` for what clients sent, `server` for what they received."""
    lines = [line for file in sorted(FRAMES.glob("*.txt")) for line in file.read_text().splitlines()]
    return [bytes.fromhex(line.split()[1]) for line in lines if line.startswith(way)]


def name(frame: bytes) -> str:
    main, _ = decode(frame)
    return f"{main.get('method') or main['type']}"[-40:]


@pytest.mark.parametrize("frame", captured("client"), ids=name)
def test_frames_of_the_clients_are_routed_with_nothing_lost(frame: bytes) -> None:
    main, head, interval = EnvelopeParser().parse(frame)
    before, body = decode(frame)
    to = main["to"] if "/" in main["to"] else f"w/{main['to']}"
    stamp = Stamp(main.get("from", "w/c"), "w", USER)
    sent = bytes(payload(stamp.apply(main, frame, head, to, True)))
    after, body_after = decode(sent)
    assert body_after == body
    assert sent.endswith(frame[head:])
    assert after == {**before, "to": to, "from": stamp.address, "ws": "w", "user": USER}
    promise = body.get("promise")
    if promise == "*":
        assert interval == body["t"]
    assert set(body) <= {"args", "with_kwargs", "promise", "t"} or "method" not in before


@pytest.mark.parametrize("frame", captured("server"), ids=name)
def test_frames_of_the_server_are_what_python_clients_can_unpack(frame: bytes) -> None:
    unpacker = msgpack.Unpacker(max_buffer_size=524_288)
    unpacker.feed(frame)
    main = unpacker.unpack()
    assert main["to"]
    assert main["type"] == "method" or "from" not in main or main["from"]
    assert EnvelopeParser().parse(frame)[0] == main


def test_both_clients_and_both_directions_were_captured() -> None:
    assert len(captured("client")) > 30
    assert len(captured("server")) > 20
