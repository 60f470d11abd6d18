"""The messages of `tests/wire/http/`, played to both ways of serving."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypha_rpc import connect_to_server

from hypha.testing import ServerProcess
from tests.wire.http_messages import WAYS, Talk, messages, read_steps

SLOW_S = 0.3


class Provider(threading.Thread):
    """A client with the public service `wire`, whose functions the messages call."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._is_ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self.workspace = ""

    def run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        client = await connect_to_server({"server_url": self._url})
        await client.register_service(
            {
                "id": "wire",
                "config": {"visibility": "public"},
                "echo": _echo,
                "slow": _slow,
                "count": _count,
            }
        )
        self.workspace = client.config.workspace
        self._is_ready.set()
        await self._over.wait()
        await client.disconnect()

    def __enter__(self) -> Provider:
        self.start()
        assert self._is_ready.wait(20), "the provider did not connect"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self.join(10)


def _echo(data: Any = "nothing") -> Any:
    return {"got": data}


async def _slow(data: Any = "nothing") -> Any:
    """Takes its time, so that what its caller does meanwhile comes first."""
    await asyncio.sleep(SLOW_S)
    return {"got": data}


async def _count(n: int = 3) -> Any:
    """Several values one after the other."""
    for number in range(n):
        yield number


@pytest.fixture(scope="module", params=WAYS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[str, int, dict[str, str]]]:
    """A way of serving, its port, and the values that the messages use."""
    with_uvicorn = request.param == "uvicorn"
    server = ServerProcess(under_uvicorn=with_uvicorn)
    try:
        server.start()
        with Provider(server.url) as provider:
            values = {
                "host": f"127.0.0.1:{server.port}",
                "wire": f"/{provider.workspace}/services/wire",
                "workspace": provider.workspace,
                "key": "MDEyMzQ1Njc4OWFiY2RlZg==",
            }
            yield request.param, server.port, values
    finally:
        server.close()


@pytest.mark.parametrize("message", messages(), ids=lambda file: file.stem)
def test_each_message_is_answered_as_its_file_says(
    served: tuple[str, int, dict[str, str]], message: Path
) -> None:
    way, port, values = served
    with Talk(port, values) as talk:
        talk.play(read_steps(message, way))
