"""No address can use up what others need: those who come from elsewhere get in at once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as ws_connect

from hypha.testing import RawClient, ServerProcess, eventually
from tests.kit.clients import StartServer
from tests.kit.people import make_person
from tests.kit.quick import check_quick

ELSEWHERE = "127.0.0.2"


async def open_silent(server: ServerProcess, address: str) -> ClientConnection | None:
    """A WebSocket that never sends its first message; None if it was refused."""
    try:
        return await ws_connect(server.ws_url, compression=None, ping_interval=None, local_addr=(address, 0))
    except Exception:
        return None


@contextlib.asynccontextmanager
async def silent_crowd(server: ServerProcess, count: int, addresses: list[str]) -> AsyncIterator[list[Any]]:
    """So many silent sockets, each opened again as soon as it is closed or refused."""
    opened: list[int] = []

    async def hold(number: int) -> None:
        while True:
            socket = await open_silent(server, addresses[number % len(addresses)])
            opened.append(number)
            if socket is None:
                await asyncio.sleep(0.05)
            else:
                await socket.wait_closed()

    tasks = [asyncio.create_task(hold(number)) for number in range(count)]
    await eventually(lambda: len(set(opened)) == count, within_s=20, what="the crowd to be there")
    try:
        yield opened
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def admitted(server: ServerProcess, count: int, **fields: Any) -> list[float]:
    """How long each of so many newcomers took (s) to get in, one after the other."""
    times = []
    for _ in range(count):
        start = time.monotonic()
        client = await RawClient.connect(server.ws_url, **fields)
        times.append(time.monotonic() - start)
        await client.close()
    return times


@pytest.mark.spec("wire-16.13", "faults-F14")
@pytest.mark.parametrize("addresses", [1, 8], ids=["one address", "eight addresses"])
async def test_silent_sockets_keep_no_newcomer_of_another_address_out(
    start_server: StartServer, addresses: int
) -> None:
    own = await start_server()
    crowd = [f"127.0.1.{number + 1}" for number in range(addresses)]
    async with silent_crowd(own, 230, crowd):

        async def slowest() -> float:
            return max(await admitted(own, 99, local_address=ELSEWHERE))

        await check_quick(slowest, within_s=2.0)


async def test_silent_sockets_keep_no_signed_in_neighbour_out(start_server: StartServer) -> None:
    own = await start_server()
    token = make_person(own).token
    async with silent_crowd(own, 230, ["127.0.0.1"]):
        within = time.monotonic() + 20
        count = 0
        while count < 10:
            assert time.monotonic() < within, f"{count} got in"
            with contextlib.suppress(Exception):  # 503 is an invitation to try again
                await admitted(own, 1, token=token)
                count += 1
