"""Connections whose waits end soon, and the application that answers them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from hypha.testing import eventually
from hypha.transports import upgrade
from hypha.transports.app_socket import AppSocket
from hypha.transports.departures import Departures
from hypha.transports.sockets import Sockets

LARGE = b"x" * 8_000_000


REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with a lot; echo nothing to WebSockets, but keep them."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(10):
        await send({"type": "http.response.body", "body": LARGE, "more_body": True})
    await send({"type": "http.response.body"})


@asynccontextmanager
async def opened_connections(app: Any = app) -> AsyncIterator[tuple[Sockets, Callable[[], Any]]]:
    """Sockets, and a way to open a connection to an application."""
    loop = asyncio.get_running_loop()
    sockets = Sockets(2, loop.time, per_party=2)
    config = uvicorn.Config(app, log_config=None, interface="asgi3", lifespan="off", ws=AppSocket)
    config.load()
    reception: Any = SimpleNamespace(departures=Departures(), sockets=sockets)
    kind = upgrade.hub_http_protocol(reception, "", lambda: None, head_timeout_s=1.0, stall_timeout_s=0.2)
    server = await loop.create_server(lambda: kind(config, ServerState(), {}), "127.0.0.1", 0)
    place = server.sockets[0].getsockname()
    writers: list[asyncio.StreamWriter] = []

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*place, limit=2**16)
        writers.append(writer)
        return reader, writer

    yield sockets, connect
    for writer in writers:
        writer.transport.abort()
    server.close()


async def check_that_a_reader_that_stops_is_let_go(sockets: Sockets, connect: Callable[[], Any]) -> None:
    """Whoever does not read a large answer loses the connection and its place."""
    _, writer = await connect()
    writer.write(REQUEST)
    await eventually(lambda: len(sockets.places) == 1)
    await eventually(lambda: len(sockets.places) == 0, within_s=10, what="the connection to be ended")
