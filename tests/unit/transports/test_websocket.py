"""What the WebSocket link tells the hub about the state of its socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from hypha.transports.gather import Gather
from hypha.transports.websocket import WebSocketLink
from tests.kit.world import World


class FakeTransport:
    """A socket whose buffer the test fills."""

    is_disconnected = False

    def __init__(self) -> None:
        self.buffered = 0
        self.is_reading = True
        self.underlying_transport = self

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def send(self, kind: Any, data: Any) -> None:
        self.buffered += len(data)

    def send_reuse_external_bytearray(self, kind: Any, data: bytearray, offset: int) -> None:
        self.buffered += len(data) - offset

    def send_pong(self, payload: bytes) -> None:
        self.buffered += len(payload)

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    made.hub.stop()


def give_link(world: World, client: Any) -> tuple[WebSocketLink, FakeTransport]:
    reception: Any = SimpleNamespace(hub=world.hub, gather=Gather())
    link = WebSocketLink(reception, "127.0.0.1", "", None)
    transport = FakeTransport()
    link._transport = transport
    link.client = client
    world.hub.rejoin(client, link)
    world.hub.resume.open(client)
    return link, transport


async def test_a_socket_that_fills_again_before_the_event_loop_noticed_its_draining_is_full_again(
    world: World,
) -> None:
    sender, sender_link = world.join("sender")
    reader, _ = world.join("reader")
    link, transport = give_link(world, reader)
    transport.buffered = 2_000_000
    link.pause_writing()
    assert reader.is_choked
    transport.buffered = 500_000  # written in part: uvloop says `resume_writing` only after all of it
    world.hub.flow.drained(reader)
    assert not reader.is_choked
    transport.buffered = 1_100_000
    world.call(sender, "w/reader")
    assert reader.is_choked
    assert sender_link.paused


async def test_pings_of_a_client_that_reads_no_pong_are_read_no_more(world: World) -> None:
    client, _ = world.join("client")
    link, transport = give_link(world, client)
    transport.buffered = 2_000_000
    link.pause_writing()
    link.take_control(client, "ping")
    assert not transport.is_reading
    transport.buffered = 0
    link.resume_writing()
    assert transport.is_reading
