"""The server tells clients of the address that it listens on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from hypha.testing import ServerProcess, eventually
from tests.kit.clients import Connect, StartServer

ANNOUNCED = {
    "::1": "[::1]",
    "127.0.0.2": "127.0.0.2",
    "0.0.0.0": "127.0.0.1",
    "::": "[::1]",
    "localhost": "localhost",
}


@asynccontextmanager
async def listening(start_server: StartServer, host: str) -> AsyncIterator[ServerProcess]:
    server = await start_server(wait=False, flags=["--host", host])

    async def is_ready() -> bool:
        try:
            async with httpx.AsyncClient() as http:
                answer = await http.get(f"http://{ANNOUNCED[host]}:{server.port}/health/readiness")
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    await eventually(is_ready, within_s=20)
    yield server


@pytest.mark.parametrize("host", ANNOUNCED)
async def test_the_announced_address_is_the_one_that_answers(
    start_server: StartServer, connect: Connect, host: str
) -> None:
    async with listening(start_server, host) as server:
        expected = f"http://{ANNOUNCED[host]}:{server.port}"
        client = await connect(url=expected)
        assert client.config.local_base_url == client.config.public_base_url == expected
        assert f"ready at {expected}" in server.log
        async with httpx.AsyncClient() as http:
            told = (await http.get(f"{expected}/assets/config.json")).json()
        assert told["local_base_url"] == expected
        again = await connect(url=told["public_base_url"])
        assert await again.echo("here") == "here"
