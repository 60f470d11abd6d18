"""Sockets are few, and nobody keeps them from the others: not by idling, not by half requests."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from hypha.testing import RawClient, RawRefused, ServerProcess, eventually
from tests.kit.clients import ConnectRaw, StartServer, shared_server
from tests.kit.people import make_person

ELSEWHERE = "127.0.0.2"
OPEN_FILES = 1024
HALF_HEAD = b"GET /health HTTP/1.1\r\nHost: x\r\nX-More: "
WHOLE = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def open_tcp(server: ServerProcess, address: str = "127.0.0.1") -> Stream:
    return await asyncio.open_connection("127.0.0.1", server.port, local_addr=(address, 0))


@contextlib.asynccontextmanager
async def crowd(server: ServerProcess, count: int, sent: bytes, addresses: list[str]) -> AsyncIterator[None]:
    """So many connections, opened at once, that sent something and now wait."""
    writers: list[asyncio.StreamWriter] = []

    async def join(number: int) -> None:
        with contextlib.suppress(OSError):
            _, writer = await open_tcp(server, addresses[number % len(addresses)])
            writers.append(writer)
            writer.write(sent)

    await asyncio.gather(*(join(number) for number in range(count)))
    try:
        yield
    finally:
        for writer in writers:
            writer.transport.abort()


async def is_well(server: ServerProcess, address: str = ELSEWHERE) -> None:
    """Somebody from elsewhere is served, also by the database; a signed-in person too."""
    transport = httpx.AsyncHTTPTransport(local_address=address)
    token = make_person(server).token
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=server.url, transport=transport, headers=headers) as http:
        assert (await http.get("/health/readiness")).status_code == 200
        answer = await http.post("/public/services/ws/log_event", json={"event_type": "seen"})
        assert answer.status_code == 200, answer.text
    client = await RawClient.connect(server.ws_url, token=token, local_address=address)
    assert await client.call_manager("echo", "here") == "here"
    await client.close()


@pytest.mark.spec("faults-F14", "wire-16.13")
@pytest.mark.parametrize("sent", [b"", HALF_HEAD, WHOLE], ids=["nothing", "half a head", "a request"])
@pytest.mark.parametrize("addresses", [1, 20], ids=["one address", "twenty addresses"])
async def test_more_idle_sockets_than_descriptors_hurt_nobody(
    start_server: StartServer, sent: bytes, addresses: int
) -> None:
    own = await start_server(open_files=OPEN_FILES)
    async with crowd(own, 1100, sent, [f"127.0.1.{number + 1}" for number in range(addresses)]):
        for _ in range(3):
            await is_well(own)
    assert "Too many open files" not in own.log
    assert '"level": "error"' not in own.log


async def test_a_crowd_of_anonymous_clients_leaves_room_for_others(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    own = await start_server(open_files=200)
    clients = []
    refusals = 0
    for _ in range(150):
        try:
            clients.append(await connect_raw(url=own.ws_url))
        except RawRefused as refused:
            refusals += 1
            assert "sign in" in refused.message
    assert 0 < len(clients) <= 40 and refusals
    assert all([await client.is_alive() for client in clients]), "who is in stays in"
    await is_well(own)
    neighbour = await connect_raw(make_person(own), url=own.ws_url)
    assert await neighbour.call_manager("echo", 1) == 1, "who signs in comes in, from the same address too"
    await clients.pop().close()

    async def comes_in() -> bool:
        with contextlib.suppress(RawRefused):
            clients.append(await connect_raw(url=own.ws_url))
            return True
        return False

    await eventually(comes_in, within_s=5, what="the place to be free again")


async def time_until_closed(server: ServerProcess, first: bytes, more: bytes, every_s: float) -> float:
    """How long a connection lives that sends something and then a little again and again."""
    reader, writer = await open_tcp(server)
    start = time.monotonic()
    writer.write(first)

    async def dribble() -> None:
        while True:
            await asyncio.sleep(every_s)
            writer.write(more)

    dribbling = asyncio.create_task(dribble())
    try:
        async with asyncio.timeout(40):
            with contextlib.suppress(ConnectionError):
                while await reader.read(65536):
                    pass
    finally:
        dribbling.cancel()
        writer.close()
    return time.monotonic() - start


hurried = shared_server(env={"HYPHA_HEAD_TIMEOUT": "2"}, flags=["--from-env"])


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (HALF_HEAD, b"x"),
        (WHOLE + HALF_HEAD, b"x"),
        (WHOLE, b"\r\n"),
        (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", b"x"),
    ],
    ids=["first head", "second head", "empty lines between requests", "body after its answer"],
)
async def test_what_dribbles_in_holds_a_socket_no_longer_than_a_head_may_take(
    hurried: ServerProcess, first: bytes, more: bytes
) -> None:
    client = await RawClient.connect(hurried.ws_url)
    assert await time_until_closed(hurried, first, more, 0.2) < 10
    assert await client.is_alive(), "a WebSocket has no head any more"
    await client.close()


async def test_requests_one_after_the_other_on_one_connection_are_never_cut_short(
    server: ServerProcess,
) -> None:
    reader, writer = await open_tcp(server)
    for _ in range(50):
        writer.write(WHOLE[:20])
        await writer.drain()
        writer.write(WHOLE[20:])
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
    writer.close()
