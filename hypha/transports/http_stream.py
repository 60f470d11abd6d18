"""HTTP streaming transport: one endless answer down, POSTs up (wire-protocol 12)."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack

from hypha.hub.flow import HIGH_WATER_BYTES, LOW_WATER_BYTES
from hypha.transports.ratelimit import FrameRate
from hypha.wire.frames import Sealed, pack, payload

if TYPE_CHECKING:
    from starlette.types import Receive, Send

    from hypha.hub.client import Client
    from hypha.transports.reception import Reception

logger = logging.getLogger(__name__)

COOKIE = "hypha_stream"
_PING = pack({"type": "ping"})
_STREAM_HEADERS = [
    (b"content-type", b"application/x-msgpack-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


@dataclass(slots=True)
class StreamKey:
    """What a POST must show to speak for a stream: its user's token, or the cookie or address."""

    user_id: str
    is_anonymous: bool
    cookie: str
    peer_address: str


class StreamLink:
    """The endless answer of one GET; frames wait here until the ASGI server takes them."""

    kind = "http_streaming"
    acknowledges = False

    def __init__(self, reception: Reception, peer_address: str, ping_interval_s: float) -> None:
        self.reception = reception
        self.hub = reception.hub
        self.peer_address = peer_address
        self.client: Client | None = None
        self.rate: FrameRate | None = None
        self.cookie = secrets.token_urlsafe(24)
        self._ping_interval_s = ping_interval_s
        self._queue: deque[Sealed] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._ended = False
        self._pauses = 0
        self.readable = asyncio.Event()
        self.readable.set()

    @property
    def key(self) -> StreamKey:
        """The credential to which POSTs are bound (wire-protocol 12.3)."""
        assert self.client is not None
        user = self.client.user
        return StreamKey(user.id, user.is_anonymous, self.cookie, self.peer_address)

    async def run(self, receive: Receive, send: Send, extra_headers: list[tuple[bytes, bytes]]) -> None:
        """Write records until the client goes, is superseded or the server closes the stream."""
        name = cookie_name(self.client.address if self.client else "")
        cookie = f"{name}={self.cookie}; Path=/; HttpOnly; SameSite=Lax".encode()
        headers = [*_STREAM_HEADERS, (b"set-cookie", cookie), *extra_headers]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        gone = asyncio.create_task(_wait_gone(receive))
        writer = asyncio.create_task(self._write_all(send))
        try:
            await asyncio.wait([gone, writer], return_when=asyncio.FIRST_COMPLETED)
            if writer.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._ended = True
            for task in (gone, writer):
                task.cancel()
            if self.client is not None:
                self.hub.resume.lost(self.client, self, 1006)

    async def _write_all(self, send: Send) -> None:
        while True:
            parts: list[bytes] = []
            size = 0
            while self._queue and size < 262_144:
                frame = bytes(payload(self._queue.popleft()))
                parts += (len(frame).to_bytes(4, "big"), frame)
                size += len(frame)
            if parts:
                await send({"type": "http.response.body", "body": b"".join(parts), "more_body": True})
                self._taken(size)
                continue
            if self._ended:
                return
            self._wake.clear()
            try:
                async with asyncio.timeout(self._ping_interval_s):
                    await self._wake.wait()
            except TimeoutError:
                self._put(_PING)

    def _taken(self, size: int) -> None:
        self._queued_bytes -= size
        client = self.client
        if client is not None and client.is_choked and self._queued_bytes < LOW_WATER_BYTES:
            self.hub.flow.drained(client)

    def _put(self, record: Sealed) -> None:
        if self._ended:
            return
        self._queue.append(record)
        self._queued_bytes += len(payload(record))
        self._wake.set()
        client = self.client
        if self._queued_bytes > HIGH_WATER_BYTES and client is not None and client.connection is self:
            self.hub.flow.choke(client)

    def send_frame(self, frame: Sealed) -> None:
        """Queue one frame as a record."""
        self._put(frame)

    def send_control(self, message: dict[str, Any]) -> None:
        """Queue one control record."""
        self._put(pack(message))

    def send_ping(self, payload: bytes) -> None:
        """HTTP shows no arrival."""

    def close(self, code: int, reason: str) -> None:
        """End the stream after what is queued."""
        self._ended = True
        self._wake.set()
        self.readable.set()

    def abort(self) -> None:
        """End the stream now."""
        self._queue.clear()
        self.close(1011, "Link lost")

    def pause_reading(self) -> None:
        """Let POSTs wait."""
        self._pauses += 1
        self.readable.clear()

    def resume_reading(self) -> None:
        """Let POSTs go on once every pause is taken back."""
        self._pauses -= 1
        if self._pauses == 0:
            self.readable.set()

    def buffered_bytes(self) -> int:
        """Bytes that the ASGI server hasn't taken yet."""
        return self._queued_bytes

    def receive(self, body: bytes) -> None:
        """Take one frame or control message from a POST."""
        client = self.client
        if client is None:
            return
        client.last_received = self.hub.time()
        kind = _control_type(body)
        if kind == "ping":
            self.send_control({"type": "pong"})
        elif kind == "refresh_token":
            token = self.reception.reconnection_token(client)
            self.send_control({"type": "reconnection_token", "reconnection_token": token})
        else:
            if not client.is_open and client.connection is self:
                self.hub.resume.open(client)
            self.hub.route(client, body)
            if self.rate is not None:
                self.rate.spend(self, len(body))


def cookie_name(address: str) -> str:
    """Each stream has its own cookie, so that the tabs of one browser don't take each other's."""
    return f"{COOKIE}_{hashlib.sha256(address.encode()).hexdigest()[:12]}"


async def _wait_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _control_type(body: bytes) -> str | None:
    """`ping` or `refresh_token` if the body is such a control message; else None."""
    if len(body) > 64:
        return None
    try:
        message = msgpack.unpackb(body)
    except (ValueError, msgpack.UnpackException):
        return None
    kind = message.get("type") if isinstance(message, dict) and len(message) == 1 else None
    return kind if kind in ("ping", "refresh_token") else None
