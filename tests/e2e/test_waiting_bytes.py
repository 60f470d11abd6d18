"""What waits in memory for somebody slow counts for who makes it wait; others are served."""

from __future__ import annotations

import asyncio
import contextlib
import socket as tcp
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psutil
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as ws_connect

from hypha.testing import ServerProcess, eventually
from hypha.testing.rawclient import Frame
from tests.kit.clients import Connect, ConnectRaw, shared_server
from tests.kit.people import Person, make_person

MIB = 1024 * 1024
ELSEWHERE = "127.0.0.2"

own = shared_server()
refused: list[Exception] = []
"""What came of messages of applications that had no room."""
endings: list[int] = []
"""Codes of which applications were told."""


async def echo(args: dict[str, Any]) -> None:
    """Give back the length of each message; never read when the query says `deaf`."""
    await args["send"]({"type": "websocket.accept"})
    assert (await args["receive"]())["type"] == "websocket.connect"
    if args["scope"]["query_string"] == b"deaf":
        await asyncio.Event().wait()
    while (event := await args["receive"]())["type"] == "websocket.receive":
        content = event.get("bytes") or event.get("text")
        if content == "much":
            try:
                await args["send"]({"type": "websocket.send", "bytes": bytes(2 * MIB)})
            except Exception as error:
                assert "LimitReached" in str(error)
                refused.append(error)
        else:
            await args["send"]({"type": "websocket.send", "text": str(len(content))})
    endings.append(event["code"])


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def person(own: ServerProcess) -> Person:
    return make_person(own)


@pytest_asyncio.fixture(loop_scope="session")
async def url(own: ServerProcess, person: Person, connect: Connect) -> AsyncIterator[str]:
    """Address of an application's WebSocket."""
    provider = await connect(person, url=own.url)
    await provider.register_service(
        {"id": "app", "type": "asgi", "serve": echo, "config": {"visibility": "public"}}, overwrite=True
    )
    yield f"{own.url.replace('http', 'ws', 1)}/{provider.config.workspace}/apps/app/"


async def visit(url: str, address: str = "127.0.0.1", token: str = "") -> ClientConnection:
    return await ws_connect(
        url,
        compression=None,
        ping_interval=None,
        max_size=None,
        local_addr=(address, 0),
        open_timeout=30,
        additional_headers={"authorization": f"Bearer {token}"} if token else {},
    )


async def is_served(url: str, address: str = ELSEWHERE, token: str = "", size: int = 3 * MIB) -> None:
    async with visit_of(url, address, token) as socket:
        await socket.send(bytes(size))
        async with asyncio.timeout(20):
            assert await socket.recv() == str(size)


@contextlib.asynccontextmanager
async def visit_of(url: str, address: str, token: str = "") -> AsyncIterator[ClientConnection]:
    socket = await visit(url, address, token)
    try:
        yield socket
    finally:
        await socket.close()


@contextlib.asynccontextmanager
async def crowd(url: str, count: int, messages: list[Any]) -> AsyncIterator[list[ClientConnection]]:
    """Sockets of one stranger that send these and read nothing."""
    sockets: list[ClientConnection] = []
    pushing: list[asyncio.Task[None]] = []

    async def push(socket: ClientConnection) -> None:
        with contextlib.suppress(Exception):
            for message in messages:
                await socket.send(message)

    try:
        for _ in range(count):
            sockets.append(await visit(url))
            pushing.append(asyncio.create_task(push(sockets[-1])))
        yield sockets
    finally:
        for task in pushing:
            task.cancel()
        for socket in sockets:
            socket.transport.abort()


def closed_for_room(sockets: list[ClientConnection]) -> int:
    return sum(socket.close_code == 1013 for socket in sockets)


@pytest.mark.spec("faults-F14", "wire-16.13")
async def test_messages_that_an_application_does_not_take_use_up_nobodys_memory(
    own: ServerProcess, url: str, person: Person
) -> None:
    process = psutil.Process(own.pid)
    before = process.memory_info().rss
    async with crowd(f"{url}?deaf", 80, [bytes(MIB)] * 6) as sockets:
        await eventually(lambda: closed_for_room(sockets) >= 30, within_s=30, what="sockets to be closed")
        assert closed_for_room(sockets) < 60, "what the stranger may have, it keeps"
        reason = next(socket.close_reason for socket in sockets if socket.close_code == 1013)
        assert reason and "Try again later" in reason
        assert process.memory_info().rss - before < 200 * MIB
        await is_served(url)
        await is_served(url, "127.0.0.1", person.token)


@pytest.mark.slow
async def test_what_visitors_left_unread_counts_no_more_when_they_have_gone(
    own: ServerProcess, url: str
) -> None:
    async with crowd(f"{url}?deaf", 80, [bytes(MIB)] * 6) as sockets:
        await eventually(lambda: closed_for_room(sockets) >= 30, within_s=30, what="sockets to be closed")

    async def has_room() -> bool:
        with contextlib.suppress(Exception):
            async with crowd(f"{url}?deaf", 10, [bytes(MIB)] * 4) as sockets:
                await asyncio.sleep(1)
                return not closed_for_room(sockets)
        return False

    await eventually(has_room, within_s=50, what="the room to be given back")


async def test_messages_that_visitors_do_not_read_use_up_nobodys_memory(own: ServerProcess, url: str) -> None:
    path = url.partition(f":{own.port}")[2]
    head = (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )

    def deaf() -> tcp.socket:
        made = tcp.socket()
        made.setsockopt(tcp.SOL_SOCKET, tcp.SO_RCVBUF, 4096)
        made.connect(("127.0.0.1", own.port))
        made.sendall(head.encode() + b"\x81\x84\0\0\0\0much" * 20)
        return made

    endings.clear(), refused.clear()
    sockets = [deaf() for _ in range(60)]
    try:
        await eventually(
            lambda: len(refused) >= 10 and endings.count(1013) >= 10,
            within_s=40,
            what="sockets to be given up",
        )
        await is_served(url)
    finally:
        for each in sockets:
            each.close()


@pytest.mark.spec("faults-F14", "wire-16.13")
async def test_what_a_stranger_has_waiting_in_calls_of_one_frame_is_bounded(
    own: ServerProcess, connect: Connect, url: str
) -> None:
    texts: list[str] = []

    async def hasty(args: dict[str, Any]) -> None:
        await args["send"]({"type": "http.response.start", "status": 200, "headers": []})
        body = {"type": "http.response.body", "body": bytes(200_000), "more_body": True}
        sent = await asyncio.gather(*(args["send"](body) for _ in range(60)), return_exceptions=True)
        texts.extend(str(error) for error in sent if error is not None)

    provider = await connect(url=own.url)
    await provider.register_service(
        {"id": "hasty", "type": "asgi", "serve": hasty, "config": {"visibility": "public"}}
    )

    def deaf(address: str) -> tcp.socket:
        made = tcp.socket()
        made.setsockopt(tcp.SOL_SOCKET, tcp.SO_RCVBUF, 4096)
        made.bind((address, 0))
        made.connect(("127.0.0.1", own.port))
        made.sendall(f"GET /{provider.config.workspace}/apps/hasty/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return made

    visitors = [deaf(f"127.0.0.{10 + number % 3}") for number in range(18)]
    try:
        await eventually(
            lambda: any("waits for running calls" in text for text in texts),
            within_s=40,
            what="calls to be refused",
        )
        await is_served(url)
    finally:
        for each in visitors:
            each.close()


@pytest.mark.spec("faults-F14", "wire-16.13")
async def test_arguments_of_http_calls_that_wait_count_with_the_memory_of_their_values(
    own: ServerProcess, connect_raw: ConnectRaw, person: Person
) -> None:
    provider = await connect_raw(person, url=own.ws_url)
    await provider.offer("lab", {"now": lambda *values: len(values)}, visibility="public")
    base = f"{own.url}/{provider.workspace}/services/{provider.info['client_id']}:lab"
    dense = b'{"value": [' + b"[]," * 20_000 + b"[]]}"
    async with (
        httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=300)) as http,
        httpx.AsyncClient(timeout=60, transport=httpx.AsyncHTTPTransport(local_address=ELSEWHERE)) as other,
    ):
        waiting: list[asyncio.Task[httpx.Response]] = []
        refused: list[httpx.Response] = []
        frames: list[Frame] = []
        while not refused and len(waiting) < 160:  # one after the other: each takes its time to be parsed
            waiting.append(asyncio.create_task(http.post(f"{base}/wait", content=dense)))
            seen = asyncio.create_task(provider.wait_call(30))
            await asyncio.wait((waiting[-1], seen), return_when=asyncio.FIRST_COMPLETED)
            if waiting[-1].done():
                refused.append(waiting.pop().result())
                seen.cancel()
            else:
                frames.append(await seen)
        assert 60 < len(waiting) < 130 and refused[0].status_code == 429
        assert "wait for answers" in refused[0].text
        assert (await other.post(f"{base}/now", content=dense)).status_code == 200
        for frame in frames:
            await provider.resolve(frame, 1)
        assert {(await call).status_code for call in waiting} == {200}
        assert (await http.post(f"{base}/now", content=dense)).status_code == 200
