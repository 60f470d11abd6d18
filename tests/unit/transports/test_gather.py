"""Frames that one read callback makes for one receiver are written together, in order."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.uri import parse_uri

from hypha.transports.gather import GATHER_BYTES, Gather, framed
from hypha.transports.websocket import WebSocketLink
from hypha.wire.frames import HEADROOM, join_frame


class Wire:
    """Both transports of a link in one: it keeps what was written, write by write."""

    is_disconnected = False
    is_close_frame_sent = False

    def __init__(self) -> None:
        self.underlying_transport = self
        self.writes: list[Any] = []
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 0

    def send(self, kind: Any, data: bytes) -> None:
        self.writes.append(data)

    def send_reuse_external_bytearray(self, kind: Any, data: bytearray, offset: int) -> None:
        self.writes.append(bytes(data[offset:]))

    def send_ping(self, payload: bytes) -> None:
        self.writes.append(payload)

    def send_close(self, code: int, reason: bytes) -> None:
        self.writes.append(code)
        self.is_close_frame_sent = True

    def disconnect(self, graceful: bool = True) -> None:
        self.is_disconnected = True

    def writelines(self, parts: list[Any]) -> None:
        self.writes.append([bytes(frame.data) for frame in parse(b"".join(parts))])


def parse(data: bytes) -> list[Any]:
    """The messages in a stream of WebSocket bytes, as an independent library reads them."""
    protocol = ClientProtocol(parse_uri("ws://x/"), max_size=None)
    protocol.state = protocol.state.__class__.OPEN
    protocol.reader.feed_data(data)
    protocol.parser = protocol.parse()
    next(protocol.parser)
    frames = protocol.events_received()
    assert all(frame.opcode is Opcode.BINARY and frame.fin for frame in frames)
    return frames


@pytest.fixture
def link() -> WebSocketLink:
    gather = Gather()
    reception: Any = SimpleNamespace(hub=None, gather=gather)
    made = WebSocketLink(reception, "127.0.0.1", "", None)
    made._transport = Wire()
    gather.is_on = True
    return made


def writes(link: WebSocketLink) -> list[Any]:
    return link._transport.writes


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 7999, 8000, 65535, 65536, 300_000])
def test_every_size_of_frame_gets_the_right_header(size: int) -> None:
    frames = [join_frame(b"a" * size), join_frame(b"b" * size)]
    assert [frame.data for frame in parse(b"".join(framed(frames)))] == [b"a" * size, b"b" * size]


def test_frame_that_goes_to_several_receivers_is_the_same_for_each() -> None:
    frame = join_frame(b"x" * 70_000)
    first = b"".join(framed([frame, b"1"]))
    second = b"".join(framed([frame, b"1"]))
    assert first == second
    assert bytes(frame[HEADROOM:]) == b"x" * 70_000


def test_frames_of_one_callback_are_one_write(link: WebSocketLink) -> None:
    for number in range(50):
        link.send_frame(b"%d" % number)
    assert writes(link) == []
    link.reception.gather.flush()
    assert writes(link) == [[b"%d" % number for number in range(50)]]


async def test_frames_of_requests_in_one_turn_are_one_write(link: WebSocketLink) -> None:
    gather = link.reception.gather
    gather.flush()
    for number in range(3):
        gather.begin_turn(asyncio.get_running_loop())
        link.send_frame(b"%d" % number)
    assert writes(link) == []
    await asyncio.sleep(0)
    assert writes(link) == [[b"0", b"1", b"2"]]
    link.send_frame(b"now")
    assert writes(link)[1:] == [b"now"]


def test_after_the_callback_frames_are_written_at_once(link: WebSocketLink) -> None:
    link.reception.gather.flush()
    link.send_frame(b"now")
    assert writes(link) == [b"now"]


def test_other_messages_do_not_overtake_gathered_frames(link: WebSocketLink) -> None:
    link.send_frame(b"1")
    link.send_ping(b"ping")
    link.send_frame(b"2")
    link.send_control({"type": "pong"})
    link.send_frame(b"3")
    link.send_frame(b"4")
    link.close(1000, "end")
    assert writes(link) == [[b"1"], b"ping", [b"2"], '{"type":"pong"}', [b"3", b"4"], 1000]


def test_gathered_bytes_count_as_buffered_and_are_bounded(link: WebSocketLink) -> None:
    link.send_frame(join_frame(b"x" * 100_000))
    assert link.buffered_bytes() >= 100_000
    for _ in range(GATHER_BYTES // 100_000 + 1):
        link.send_frame(join_frame(b"x" * 100_000))
    assert writes(link)
    assert link.buffered_bytes() < GATHER_BYTES


def test_frames_for_a_socket_that_ends_are_dropped_and_others_are_written(link: WebSocketLink) -> None:
    other = WebSocketLink(link.reception, "127.0.0.1", "", None)
    other._transport = Wire()
    for target in (link, other):
        target.send_frame(b"1")
        target.send_frame(b"2")
    link._transport.closing = True
    link.reception.gather.flush()
    assert writes(link) == []
    assert writes(other) == [[b"1", b"2"]]
