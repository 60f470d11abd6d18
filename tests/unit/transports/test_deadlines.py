"""Every wait for a peer of an HTTP connection has an end, and its socket a place while it lives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hypha.testing import eventually
from hypha.transports.descriptors import backlog, reserved, room_for_sockets
from hypha.transports.sockets import Sockets
from tests.kit.deadlines import LARGE, REQUEST, check_that_a_reader_that_stops_is_let_go, opened_connections


class Peer:
    """A link's address is all that counts."""

    peer_address = "10.0.0.2"


@pytest.fixture
async def opened() -> AsyncIterator[Any]:
    """Sockets, and a way to open a connection to an application."""
    async with opened_connections() as made:
        yield made


async def test_a_client_that_stops_reading_its_answer_is_let_go(opened: Any) -> None:
    await check_that_a_reader_that_stops_is_let_go(*opened)


async def test_a_client_that_reads_slowly_gets_all(opened: Any) -> None:
    _, connect = opened
    reader, writer = await connect()
    writer.write(REQUEST)
    size = 0
    while size < 10 * len(LARGE):
        part = await reader.read(2**20)
        assert part, f"ended after {size} bytes"
        size += len(part)
        await asyncio.sleep(0.01)


async def test_a_newcomer_without_a_place_is_told_to_come_back(opened: Any) -> None:
    sockets, connect = opened
    for name in ("one", "two"):
        sockets.places.enter(name, "elsewhere")
    reader, _ = await connect()
    assert (await reader.read(1000)).startswith(b"HTTP/1.1 503 ")


async def test_an_idle_connection_gives_way_and_a_busy_one_does_not(opened: Any) -> None:
    sockets, connect = opened
    reader, writer = await connect()
    await eventually(lambda: len(sockets.places) == 1)
    writer.write(REQUEST)
    await reader.readuntil(b"\r\n\r\n")
    idle_reader, _ = await connect()
    await eventually(lambda: len(sockets.places) == 2)
    assert sockets.places.enter("newcomer", "elsewhere")
    assert await idle_reader.read() == b""
    assert not sockets.places.enter("another", "elsewhere")
    sockets.closed("newcomer")


async def test_the_place_of_an_applications_websocket_is_free_when_it_ends(opened: Any) -> None:
    sockets, connect = opened
    reader, writer = await connect()
    writer.write(
        b"GET /app HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    assert len(sockets.places) == 1
    assert sockets.places.enter("b", "b") and not sockets.places.enter("c", "c"), "it is busy"
    with pytest.raises(TimeoutError):  # the deadline for its head is past
        await asyncio.wait_for(reader.read(1), 1.5)
    writer.transport.abort()
    await eventually(lambda: len(sockets.places) == 1)


@pytest.mark.parametrize("limit", [64, 256, 1024, 20_000, 1_048_576])
def test_what_is_accepted_at_one_go_never_uses_up_the_descriptors(limit: int) -> None:
    kept = limit - room_for_sockets(limit) - backlog(limit)
    assert kept >= min(limit // 16, 64), "for files and the database"
    assert reserved(limit) <= limit // 4


def test_a_trusted_proxys_sockets_are_other_peoples() -> None:
    sockets = Sockets(100, lambda: 0.0, per_party=5, is_proxy=lambda address: address == "10.0.0.1")
    assert all(sockets.opened(f"via-{number}", "10.0.0.1") for number in range(50))
    assert [sockets.opened(f"own-{number}", "10.0.0.2") for number in range(6)] == [True] * 5 + [False]


def test_a_signed_in_user_no_longer_counts_for_the_address() -> None:
    sockets = Sockets(100, lambda: 0.0, per_party=2)
    links: list[Any] = [Peer() for _ in range(5)]
    for link in links:
        assert sockets.places.enter(link, "10.0.0.2")
        assert sockets.admit(link, f"user-{id(link)}", is_anonymous=False)
    assert sockets.places.count("10.0.0.2") == 0
