"""A WebSocket of an application without a network: what a visitor sends, what it is sent, what counts."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from hypha.limits import Party, WaitingBytes, WaitingRoom
from hypha.transports.app_socket import AppSocket
from hypha.web.scope import COUNTING

KIB = 1024
HEAD = (
    b"GET /w/apps/a/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
STRANGER = Party("192.0.2.1", is_stranger=True)
TEXT, BINARY, CLOSE = 1, 2, 8
MORE = 0


def frame(data: bytes, kind: int = BINARY, *, is_last: bool = True) -> bytes:
    """A frame of a client, masked with zeros; `kind` MORE goes on with a message."""
    head = bytes([(0x80 if is_last else 0) | kind])
    if len(data) < 126:
        head += bytes([0x80 | len(data)])
    elif len(data) < 65536:
        head += b"\xfe" + struct.pack("!H", len(data))
    else:
        head += b"\xff" + struct.pack("!Q", len(data))
    return head + bytes(4) + data


class Wire(asyncio.Transport):
    """A socket that keeps what is written to it.

    Set `protocol` to let it be full above 64 KiB of what comes then, until it is told otherwise.
    """

    def __init__(self) -> None:
        super().__init__()
        self.protocol: AppSocket | None = None
        self.written = bytearray()
        self.unsent = 0
        self.is_reading = True
        self.is_gone = False

    def write(self, data: Any) -> None:
        self.written += data
        if self.protocol is not None:
            self.unsent += len(data)
            if self.unsent > 64 * KIB:
                self.protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def is_closing(self) -> bool:
        return self.is_gone

    def close(self) -> None:
        self.is_gone = True

    abort = close


class Visit:
    """One WebSocket, whose application accepts it and takes messages when it is told to.

    Args:
        account: where it counts for `party`.
    """

    def __init__(self, account: WaitingBytes, party: Party = STRANGER) -> None:
        self.account = account
        self.party = party
        self.wire = Wire()
        self.ended: list[int] = []
        """Codes with which the server ended it."""
        self.may_accept = asyncio.Event()
        self.may_end = asyncio.Event()
        config = uvicorn.Config(
            self._app, log_config=None, interface="asgi3", lifespan="off", ws_per_message_deflate=False
        )
        config.load()
        self.socket = AppSocket(config, ServerState(), {})
        self.socket.connection_made(self.wire)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        scope[COUNTING](self.account, self.party, lambda code, _: self.ended.append(code))
        assert (await receive())["type"] == "websocket.connect"
        await self.may_accept.wait()
        await send({"type": "websocket.accept"})
        await self.may_end.wait()

    async def sends(self, data: bytes) -> None:
        """The visitor sends something, of which the server reads what it wants to."""
        for at in range(0, len(data), 256 * KIB):
            self.socket.data_received(data[at : at + 256 * KIB])
            await self.settle()
            if not self.wire.is_reading:
                return

    async def settle(self) -> None:
        """Let everything happen that can."""
        for _ in range(100):
            await asyncio.sleep(0)

    async def open(self) -> None:
        """Send the head and be accepted."""
        await self.sends(HEAD)
        self.may_accept.set()
        await self.settle()

    async def take(self) -> Any:
        """The application takes a message."""
        async with asyncio.timeout(5):
            return await self.socket.receive()

    def leaves(self) -> None:
        """The visitor is gone."""
        self.wire.is_gone = True
        self.socket.connection_lost(None)


def small_account(stranger: int = 300 * KIB, strangers: int = 500 * KIB) -> WaitingBytes:
    """One that is soon full."""
    return WaitingBytes(WaitingRoom(stranger, stranger, strangers, 2 * strangers))
