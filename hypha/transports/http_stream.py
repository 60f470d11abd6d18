"""HTTP streaming transport: one endless answer down, POSTs up (docs/spec/wire-protocol.md#http-streams)."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from typing import TYPE_CHECKING, Any

import msgpack

from hypha.hub.connection import LinkKind
from hypha.transports.queued_link import QueuedLink
from hypha.transports.stream_secrets import SECRET_HEADER, StreamKey
from hypha.web.bodies import until_left
from hypha.wire.frames import Buffer, Frame, pack, payload

if TYPE_CHECKING:
    from starlette.types import Receive, Send

    from hypha.transports.reception import Reception

COOKIE = "hypha_stream"
_PING = pack({"type": "ping"})
_STREAM_HEADERS = [
    (b"content-type", b"application/x-msgpack-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class StreamLink(QueuedLink[Frame]):
    """The endless answer of one GET; frames wait here until the ASGI server takes them."""

    kind = LinkKind.HTTP_STREAM

    def __init__(
        self, reception: Reception, peer_address: str, ping_interval_s: float, known_address: str = ""
    ) -> None:
        super().__init__(reception, peer_address)
        self.secret = secrets.token_urlsafe(24)
        """What POSTs of an anonymous stream show."""
        self.known_address = known_address
        self.misses = 0
        """Pings in a row that were not answered; counted by `StreamWatch`."""
        self._ping_interval_s = ping_interval_s

    @property
    def key(self) -> StreamKey:
        """The credential to which POSTs are bound (docs/security.md#http-streams)."""
        assert self.client is not None
        user = self.client.user
        return StreamKey(user.id, user.is_anonymous, self.secret, self.known_address)

    async def run(self, receive: Receive, send: Send, path: str) -> None:
        """Write records until the client goes, is superseded or the server closes the stream.

        `path` is where its POSTs go; an anonymous stream's cookie is for there alone, and its secret
        also comes as a header.
        """
        headers = list(_STREAM_HEADERS)
        if self.client is not None and self.client.user.is_anonymous:
            cookie = (
                f"{cookie_name(self.client.address)}={self.secret}; Path={path}; HttpOnly; SameSite=Strict"
            )
            headers += [(b"set-cookie", cookie.encode()), (SECRET_HEADER, self.secret.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        gone = asyncio.create_task(until_left(receive))
        writer = asyncio.create_task(self._write_records(send))
        try:
            await asyncio.wait([gone, writer], return_when=asyncio.FIRST_COMPLETED)
            if writer.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._ended = True
            for task in (gone, writer):
                task.cancel()
            self.reception.gone(self)
            if self.client is not None:
                self.hub.resume.lost(self.client, self, 1006)

    async def _write_records(self, send: Send) -> None:
        while True:
            parts: list[Buffer] = []
            size = 0
            while self._queue and size < 262_144:
                record, length = self._queue.popleft()
                parts += (length.to_bytes(4, "big"), payload(record))
                size += length
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
                self._put(_PING, len(_PING))

    def send_frame(self, frame: Frame) -> None:
        """Queue one frame as a record."""
        self._put(frame, len(payload(frame)))

    def send_control(self, message: dict[str, Any]) -> None:
        """Queue one control record."""
        self.send_frame(pack(message))

    def close(self, code: int, reason: str) -> None:
        """End the stream after what is queued; HTTP carries neither code nor reason."""
        self._end()

    def receive(self, body: bytes) -> None:
        """Take one frame or control message from a POST."""
        client = self.client
        if client is None:
            return
        kind = _control_type(body)
        if kind is None:
            self.take_frame(client, body)
        else:
            self.take_control(client, kind)


def cookie_name(address: str) -> str:
    """Each stream has its own cookie, so that the tabs of one browser don't take each other's."""
    return f"{COOKIE}_{hashlib.sha256(address.encode()).hexdigest()[:12]}"


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
