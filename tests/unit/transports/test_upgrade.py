"""How much is read at once from the socket of a WebSocket."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from hypha.transports import upgrade
from hypha.transports.departures import Departures
from hypha.transports.gather import Gather
from hypha.transports.sockets import Sockets
from hypha.transports.upgrade import HubHttpProtocol, HubSocket
from hypha.transports.websocket import WebSocketLink
from hypha.wire.frames import pack
from tests.kit.world import World

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % base64.b64encode(os.urandom(16))
)


def masked(message: bytes, first: int = 0x82) -> bytes:
    """One binary frame as a client sends it."""
    size = len(message)
    long = b"\xfe" + size.to_bytes(2) if size < 65536 else b"\xff" + size.to_bytes(8)
    length = bytes([0x80 | size]) if size < 126 else long
    return bytes([first]) + length + bytes(4) + message


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    made.hub.stop()


@pytest.fixture
async def opened(world: World) -> AsyncIterator[HubSocket]:
    listener = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listener.getsockname())
    reception: Any = SimpleNamespace(
        hub=world.hub,
        gather=Gather(),
        limits=SimpleNamespace(handshake_timeout_s=60.0),
        enter=lambda link, silent: True,
        leave=lambda link: None,
        gone=lambda link: None,
    )
    link = WebSocketLink(reception, "127.0.0.1", "", None)
    made = HubSocket(link, set())
    transport, _ = await asyncio.get_running_loop().create_connection(lambda: made, sock=near)
    transport.pause_reading()  # the test itself says what was read
    upgrade._feed(made, UPGRADE)
    link.client, _ = world.join("ws", "alice")
    world.hub.rejoin(link.client, link)
    yield made
    transport.abort()
    listener.close()


def read(protocol: HubSocket, data: bytes) -> list[int]:
    """Let the protocol read all of the data, as much at a time as it wants; return the sizes."""
    sizes = []
    while data:
        buffer = protocol.get_buffer(-1)
        sizes.append(min(len(buffer), len(data)))
        buffer[: sizes[-1]] = data[: sizes[-1]]
        protocol.buffer_updated(sizes[-1])
        data = data[sizes[-1] :]
    return sizes


async def test_a_flood_of_small_messages_is_read_in_smaller_slices_than_a_large_one(
    opened: HubSocket,
) -> None:
    large = masked(pack({"type": "event", "to": "nobody", "x": bytes(8 * upgrade._SLICE_BYTES)}))
    assert max(read(opened, large)) == upgrade._SLICE_BYTES
    message = masked(pack({"type": "event", "to": "nobody"}))
    sizes = read(opened, message * 60_000)
    assert max(sizes[1:]) == upgrade._FLOOD_SLICE_BYTES
    read(opened, message)  # a pause: it is no flood any more
    assert read(opened, message * 60_000)[0] == upgrade._SMALL_SLICE_BYTES


async def test_several_full_reads_of_one_turn_are_a_slice_together(opened: HubSocket) -> None:
    message = masked(pack({"type": "event", "to": "nobody"}))
    flood = message * (8 * upgrade._SMALL_SLICE_BYTES // len(message))
    reads = 0
    while opened._link._pauses == 0:
        buffer = opened.get_buffer(-1)
        part, flood = flood[: len(buffer)], flood[len(buffer) :]
        buffer[: len(part)] = part
        opened.buffer_updated(len(part))
        reads += 1
        assert 0 < len(part) < upgrade._SMALL_SLICE_BYTES
    assert reads > 1


async def test_a_fragmented_message_is_read_in_slices_of_its_own(opened: HubSocket) -> None:
    first, more = masked(bytes(3000), 0x02), masked(bytes(200_000), 0x00)
    assert max(read(opened, first + more * 20)) == upgrade._FRAGMENTS_SLICE_BYTES


async def test_a_flood_of_calls_to_the_server_is_read_in_the_smallest_slices(
    world: World, opened: HubSocket
) -> None:
    manager = world.add_manager()
    call = {"type": "method", "to": "*/manager-x", "method": "services.none.none", "session": "S"}
    sizes = read(opened, masked(pack(call)) * 5000)
    assert max(sizes[len(sizes) // 2 :]) == upgrade._CALLS_SLICE_BYTES
    assert world.hub.traffic.to_server == 5000
    await manager.close()


@pytest.mark.parametrize(
    ("path", "is_over", "unsent_bytes", "expected"),
    [
        ("/ws-a/services/x/f", False, 0, True),  # a call whose answer is awaited
        ("/ws-a/services/x/f", True, 100, True),  # its last bytes are leaving
        ("/ws-a/services/x/f", True, 0, False),
        ("/rpc", False, 0, False),  # an HTTP stream or a POST of one: they end like WebSockets
    ],
)
def test_only_requests_with_an_end_hold_up_the_stop(
    path: str, is_over: bool, unsent_bytes: int, expected: bool
) -> None:
    connection: Any = object.__new__(HubHttpProtocol)
    connection.stream_path = "/rpc"
    connection.transport = SimpleNamespace(get_write_buffer_size=lambda: unsent_bytes)
    connection.cycle = SimpleNamespace(response_complete=is_over, scope={"path": path})
    assert connection.is_answering is expected


def test_a_connection_without_a_request_holds_up_nothing() -> None:
    connection: Any = object.__new__(HubHttpProtocol)
    connection.transport = SimpleNamespace(get_write_buffer_size=lambda: 0)
    connection.cycle = None
    assert not connection.is_answering


@pytest.mark.parametrize("error", [None, ConnectionResetError()], ids=["orderly", "reset"])
async def test_a_connection_that_is_lost_leaves_no_timer(error: Exception | None) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        """Nothing is asked of it."""

    config = uvicorn.Config(app, log_config=None, interface="asgi3")
    config.load()
    sockets = Sockets(10, asyncio.get_running_loop().time)
    reception: Any = SimpleNamespace(departures=Departures(), sockets=sockets)
    kind = upgrade.hub_http_protocol(reception, "", lambda: None)
    connection: Any = kind(config, ServerState(), {})
    near, far = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(lambda: connection, sock=near)
    idle = asyncio.get_running_loop().call_later(300, print)
    connection.timeout_keep_alive_task = idle
    head = connection._head_timer
    assert len(sockets.places) == 1
    connection.connection_lost(error)
    assert head.cancelled()
    assert idle.cancelled()
    assert len(sockets.places) == 0
    transport.abort()
    far.close()
