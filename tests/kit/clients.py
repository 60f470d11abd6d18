"""Real clients of a server, in this process and in others; and the types of the fixtures that make them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypha_rpc import connect_to_server

from hypha.testing import RawClient, ServerProcess, Worker
from tests.kit.people import Person

JS_FOLDER = Path(__file__).resolve().parents[1] / "js"

Connect = Callable[..., Awaitable[Any]]
ConnectRaw = Callable[..., Awaitable[RawClient]]
StartServer = Callable[..., Awaitable[ServerProcess]]
NewWorker = Callable[..., Awaitable[Worker]]


class Connections:
    """Opens real Python clients and closes them all at the end."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._open: list[Any] = []

    async def connect(self, person: Person | None = None, *, url: str | None = None, **config: Any) -> Any:
        """Connect with the client library; `person` None is an anonymous user."""
        config = {"server_url": url or self._server.url, "method_timeout": 15, **config}
        if person is not None:
            config.setdefault("token", person.token)
        client = await connect_to_server(config)
        self._open.append(client)
        return client

    async def close(self) -> None:
        """Disconnect every client."""
        for client in reversed(self._open):
            with contextlib.suppress(Exception):
                await asyncio.wait_for(client.disconnect(), 5.0)


def require_node() -> None:
    """Skip the test with a clear sentence when Node or its packages are missing."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    if not (JS_FOLDER / "node_modules" / "hypha-rpc").is_dir():
        pytest.skip("the npm packages are missing: run `npm install` in tests/js")


def shared_server(**options: Any) -> Any:
    """A fixture: one server for a module, with options of `ServerProcess`; its tests leave it as it is."""

    @pytest.fixture(scope="module")
    def running() -> Iterator[ServerProcess]:
        own = ServerProcess(**options)
        try:
            yield own.start()
        finally:
            own.close()

    return running


def is_back(client: Any) -> bool:
    """True when a Python client's connection is open and its reconnect has settled."""
    connection = client.rpc._connection
    return connection._reconnected_event is None and connection._websocket.state.name == "OPEN"
