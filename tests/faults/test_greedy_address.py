"""One address does all at once what uses up sockets, handshakes and memory: others come in at once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import httpx
import psutil
import pytest

from hypha.testing import RawClient, ServerProcess, eventually
from tests.kit.clients import StartServer
from tests.kit.people import make_person

GREEDY, ELSEWHERE = "127.0.0.1", "127.0.0.2"
MIB = 1024 * 1024
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
HALF_HEAD = b"GET /health HTTP/1.1\r\nHost: x\r\nX-More: "
UPLOAD = (
    b"POST /public/services/any/thing HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: 67108864\r\n\r\n"
)
CROWD = [(b"", 600), (HALF_HEAD, 250), (UPGRADE, 230), (UPLOAD + b" " * (4 * MIB), 20)]
"""What each of so many connections sends before it waits for ever."""


@contextlib.asynccontextmanager
async def greedy_crowd(server: ServerProcess) -> AsyncIterator[list[int]]:
    """Connections of one address that do nothing more; each is opened again when it ends."""
    opened: list[int] = []

    async def hold(sent: bytes) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", server.port, local_addr=(GREEDY, 0)
                )
                opened.append(1)
                try:
                    writer.write(sent)
                    while await reader.read(65536):
                        pass
                finally:
                    writer.transport.abort()
            await asyncio.sleep(0.5)

    tasks = [asyncio.create_task(hold(sent)) for sent, count in CROWD for _ in range(count)]
    try:
        await eventually(lambda: len(opened) >= len(tasks), within_s=30, what="the crowd to be there")
        yield opened
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def time_to_enter(server: ServerProcess, token: str | None, address: str) -> float:
    """How long (s) a newcomer needs to get in and be answered; it tries again, as clients do."""
    start = time.monotonic()
    async with asyncio.timeout(15):
        while True:
            with contextlib.suppress(Exception):
                client = await RawClient.connect(server.ws_url, token=token, local_address=address)
                assert await client.call_manager("echo", 1) == 1
                await client.close()
                return time.monotonic() - start
            await asyncio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.spec("faults-F14", "wire-16.13")
async def test_a_greedy_address_keeps_nobody_out(start_server: StartServer) -> None:
    own = await start_server(open_files=1024)
    process = psutil.Process(own.pid)
    before = process.memory_info().rss
    person = make_person(own)
    async with greedy_crowd(own):
        assert process.num_fds() > 500, "the crowd has what one address may have"
        strangers, neighbours = [], []
        for _ in range(10):
            strangers.append(await time_to_enter(own, None, ELSEWHERE))
            neighbours.append(await time_to_enter(own, person.token, GREEDY))
        transport = httpx.AsyncHTTPTransport(local_address=ELSEWHERE)
        async with httpx.AsyncClient(base_url=own.url, transport=transport) as http:
            assert (await http.get("/health/readiness")).status_code == 200
        assert process.memory_info().rss - before < 400 * MIB
    assert max(strangers) < 3
    assert sorted(neighbours)[len(neighbours) // 2] < 3
    assert "Too many open files" not in own.log
    assert '"level": "error"' not in own.log
