"""The same hub behind an ordinary ASGI WebSocket: for servers whose sockets are not ours."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from hypha.hub.flow import HIGH_WATER_BYTES, LOW_WATER_BYTES
from hypha.transports.ratelimit import FrameRate
from hypha.wire.frames import MAX_FRAME_BYTES, Sealed, payload
from hypha.wire.handshake import (
    OBSOLETE_QUERY_KEYS,
    PONG,
    Busy,
    Refused,
    close_reason,
    control,
    parse_control,
    parse_first_message,
)

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from hypha.hub.client import Client
    from hypha.transports.reception import Reception

logger = logging.getLogger(__name__)


class AsgiLink:
    """One WebSocket of a client, carried by an ASGI server.

    ASGI shows no PONGs and no buffer, so frames count as unproven for 2 s and the queue in front
    of the server's `send` is what back-pressure looks at.
    """

    kind = "websocket"
    acknowledges = False

    def __init__(self, reception: Reception, scope: Scope, receive: Receive, send: Send) -> None:
        self.reception = reception
        self.hub = reception.hub
        client = scope.get("client")
        self.peer_address = client[0] if client else ""
        self.client: Client | None = None
        self.rate: FrameRate | None = None
        self._scope = scope
        self._receive = receive
        self._send = send
        self._queue: deque[dict[str, Any]] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._readable = asyncio.Event()
        self._readable.set()
        self._pauses = 0
        self._closing = False
        self._closed_code = 1006

    async def run(self) -> None:
        """Serve the link from accept to disconnect."""
        await self._receive()
        if self.reception.is_busy:
            await self._send({"type": "websocket.close", "code": 1013, "reason": "Server busy, please retry"})
            return
        await self._send({"type": "websocket.accept"})
        writer = asyncio.create_task(self._write_all())
        try:
            if await self._shake_hands():
                await self._read_all()
        finally:
            self._closing = True
            self._wake.set()
            if self.client is not None:
                self.hub.resume.lost(self.client, self, self._closed_code)
            await asyncio.wait([writer], timeout=2.0)
            writer.cancel()

    async def _shake_hands(self) -> bool:
        query = self._scope.get("query_string", b"").decode("latin-1")
        if OBSOLETE_QUERY_KEYS.intersection(key for key, _ in parse_qsl(query, True)):
            self.close(1008, "Connection rejected, please  upgrade to `hypha-rpc`: use no query parameters")
            return False
        self.reception.in_progress += 1
        try:
            try:
                async with asyncio.timeout(self.reception.limits.handshake_timeout_s):
                    message = await self._receive()
            except TimeoutError:
                raise Refused("Authentication payload timeout", 1008) from None
            if message["type"] != "websocket.receive":
                return False
            if message.get("text") is None:
                raise Refused("Failed to decode authentication information: send text first", 1003)
            client = await self.reception.admit(parse_first_message(message["text"]), self)
            self.client = client
            self.rate = self.reception.rate_of(client, self.rate)
            self.send_control(self.reception.connection_info(client))
            return True
        except Busy as error:
            logger.warning("A connection has to wait: %s", error.message)
            self.close(1013, "Server busy, please retry")
            return False
        except Refused as error:
            logger.info("Refused a connection from %s: %s", self.peer_address, error.message)
            self.send_control({"type": "error", "message": error.message})
            self.close(error.close_code, error.message)
            return False
        finally:
            self.reception.in_progress -= 1

    async def _read_all(self) -> None:
        client = self.client
        assert client is not None
        while not self._closing:
            await self._readable.wait()
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self._closed_code = message.get("code") or 1005
                return
            client.last_received = self.hub.time()
            data = message.get("bytes")
            if data is not None:
                if len(data) > MAX_FRAME_BYTES:
                    self.close(1009, "Message too large")
                    return
                if not client.is_open and client.connection is self:
                    self.hub.resume.open(client)
                self.hub.route(client, data)
                if self.rate is not None:
                    self.rate.spend(self, len(data))
            else:
                self._on_control(client, message.get("text") or "")

    def _on_control(self, client: Client, text: str) -> None:
        kind = parse_control(text)
        if kind == "ping":
            self._put({"type": "websocket.send", "text": PONG}, len(PONG))
        elif kind == "refresh_token":
            token = self.reception.reconnection_token(client)
            self.send_control({"type": "reconnection_token", "reconnection_token": token})

    def _put(self, message: dict[str, Any], size: int) -> None:
        if self._closing:
            return
        self._queue.append(message)
        self._queued_bytes += size
        self._wake.set()
        client = self.client
        if self._queued_bytes > HIGH_WATER_BYTES and client is not None and client.connection is self:
            self.hub.flow.choke(client)

    async def _write_all(self) -> None:
        while True:
            while self._queue:
                message = self._queue.popleft()
                await self._send(message)
                data = message.get("bytes") or message.get("text") or b""
                self._queued_bytes -= len(data)
                client = self.client
                if client is not None and client.is_choked and self._queued_bytes < LOW_WATER_BYTES:
                    self.hub.flow.drained(client)
            if self._closing:
                return
            self._wake.clear()
            await self._wake.wait()

    def send_frame(self, frame: Sealed) -> None:
        """Queue one binary frame."""
        self._put({"type": "websocket.send", "bytes": bytes(payload(frame))}, len(frame))

    def send_control(self, message: dict[str, Any]) -> None:
        """Queue one control message as JSON text."""
        text = control(message)
        self._put({"type": "websocket.send", "text": text}, len(text))

    def send_ping(self, payload: bytes) -> None:
        """ASGI has no PING."""

    def close(self, code: int, reason: str) -> None:
        """End the link after what is queued."""
        if not self._closing:
            self._put({"type": "websocket.close", "code": code, "reason": close_reason(reason)}, 0)
            self._closing = True
            self._closed_code = code
            self._readable.set()

    def abort(self) -> None:
        """End the link without what is queued."""
        self._queue.clear()
        self.close(1011, "Link lost")

    def pause_reading(self) -> None:
        """Take nothing more from the client."""
        self._pauses += 1
        self._readable.clear()

    def resume_reading(self) -> None:
        """Take back one `pause_reading`."""
        self._pauses -= 1
        if self._pauses == 0:
            self._readable.set()

    def buffered_bytes(self) -> int:
        """Bytes that the ASGI server hasn't taken yet."""
        return self._queued_bytes
