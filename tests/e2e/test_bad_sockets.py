"""Sockets that don't play by the rules: closed or refused, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as ws_connect
from websockets.exceptions import ConnectionClosed

from hypha.testing import ServerProcess
from hypha.testing.rawclient import pack
from tests.kit.clients import Connect, ConnectRaw
from tests.kit.people import Person

MIB = 1024 * 1024
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


async def open_tcp(server: ServerProcess) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port))


def open_socket(server: ServerProcess) -> Any:
    url = server.url.replace("http", "ws", 1) + "/ws"
    return ws_connect(url, max_size=None, compression=None, ping_interval=None)


async def others_notice_nothing(connect: Connect, alice: Person) -> None:
    client = await connect(alice)
    assert await client.echo("fine") == "fine"


async def send_and_wait_for_the_end(socket: ClientConnection, data: bytes) -> int | None:
    """Send a message and read until the server closes; return the close code."""
    with pytest.raises((ConnectionClosed, ConnectionError)):
        async with asyncio.timeout(15):
            await socket.send(data)
            while True:
                await socket.recv()
    return socket.close_code


@pytest.mark.spec("faults-F14")
@pytest.mark.skipif(
    os.environ.get("HYPHA_TEST_TRANSPORT") == "asgi",
    reason="plain uvicorn shows a request to no application before its head has ended",
)
async def test_a_flood_of_headers_is_refused(server: ServerProcess, connect: Connect, alice: Person) -> None:
    reader, writer = await open_tcp(server)
    writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n")
    try:
        for number in range(400):
            writer.write(b"X-%d: " % number + b"y" * 1000 + b"\r\n")
            await writer.drain()
        answer = await asyncio.wait_for(reader.read(1000), 5)
    except ConnectionError:
        answer = b""
    assert answer == b"" or b" 431 " in answer
    writer.close()
    await others_notice_nothing(connect, alice)


@pytest.mark.skipif(
    os.environ.get("HYPHA_TEST_TRANSPORT") == "asgi", reason="plain uvicorn upgrades in its own way"
)
@pytest.mark.parametrize("path", [b"/ws", b"/public/apps/nothing/ws"])
async def test_an_upgrade_does_not_overtake_the_answer_before_it(server: ServerProcess, path: bytes) -> None:
    reader, writer = await open_tcp(server)
    writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" + UPGRADE.replace(b"/ws", path))
    answers = await asyncio.wait_for(reader.read(), 10)
    first, second = answers.index(b"HTTP/1.1 200 "), answers.index(b"HTTP/1.1 400 ")
    assert first < second and b" 101 " not in answers
    writer.close()


@pytest.mark.spec("wire-16.13", "faults-F14")
async def test_a_stranger_cannot_make_the_server_keep_megabytes(
    server: ServerProcess, connect: Connect, alice: Person
) -> None:
    async with open_socket(server) as socket:
        assert await send_and_wait_for_the_end(socket, os.urandom(15 * MIB)) in (1003, 1006)
    await others_notice_nothing(connect, alice)


@pytest.mark.spec("wire-16.13")
async def test_a_frame_above_the_limit_closes_its_own_socket(
    server: ServerProcess, connect: Connect, alice: Person
) -> None:
    async with open_socket(server) as socket:
        await socket.send(json.dumps({"client_id": "big-frame"}))
        assert json.loads(await socket.recv())["type"] == "connection_info"
        assert await send_and_wait_for_the_end(socket, os.urandom(20 * MIB)) in (1009, 1006)
    await others_notice_nothing(connect, alice)


@pytest.mark.spec("faults-F14")
async def test_a_message_in_countless_fragments_holds_up_nobody(
    server: ServerProcess, connect: Connect, connect_raw: ConnectRaw, alice: Person
) -> None:
    sender = await connect_raw(alice)
    text = "x" * 150_000
    opening = {"type": "method", "from": sender.address, "to": sender.manager, "session": "slow"}
    message = pack({**opening, "method": "services.default.echo"}, {"args": [text], "promise": "*"})
    first, *middle, last = (message[at : at + 1] for at in range(len(message)))
    no_mask = bytes(4)
    fragments = [b"\x02\x81", no_mask, first]
    for part in middle:
        fragments += (b"\x00\x81", no_mask, part)
    sender.socket.transport.write(b"".join([*fragments, b"\x80\x81", no_mask, last]))
    async with asyncio.timeout(20):
        await others_notice_nothing(connect, alice)
        assert await sender.answer_of("slow") == text


@pytest.mark.spec("faults-F14")
async def test_requests_that_never_end_their_head_hold_up_nobody(
    server: ServerProcess, connect: Connect, alice: Person
) -> None:
    links = [await open_tcp(server) for _ in range(100)]
    for _, writer in links:
        writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
    await others_notice_nothing(connect, alice)
    for _, writer in links:
        writer.close()


@pytest.mark.spec("faults-F14")
@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /health HTTP/1.1\r\nHost: x\r\n", UPGRADE],
    ids=["nothing", "half a head", "an upgrade"],
)
async def test_a_crowd_that_hangs_up_is_let_go(
    server: ServerProcess, connect: Connect, alice: Person, sent: bytes
) -> None:
    crowd = [await open_tcp(server) for _ in range(100)]
    for _, writer in crowd:
        writer.write(sent)
    for _, writer in crowd:
        writer.write_eof()
    async with asyncio.timeout(10):
        for reader, _ in crowd:
            while await reader.read(1000):
                pass
    for _, writer in crowd:
        writer.close()
    await others_notice_nothing(connect, alice)
