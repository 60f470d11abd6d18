"""The same hub behind an ordinary ASGI WebSocket: for servers whose sockets are not ours."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.routing import BaseRoute, WebSocketRoute

from hypha.hub.connection import LinkKind
from hypha.transports.base import Transport
from hypha.transports.handshake import is_obsolete, refuse_late, refuse_not_text, shake_hands
from hypha.transports.queued_link import QueuedLink
from hypha.transports.reception import BUSY
from hypha.web.endpoint import Endpoint
from hypha.wire.frames import Frame, payload
from hypha.wire.handshake import close_reason, control, parse_control

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from hypha.hub.client import Client
    from hypha.transports.ratelimit import FrameRate
    from hypha.transports.reception import Reception

Message = dict[str, Any]


class AsgiWebSocket(Transport):
    """`/ws`, behind an ASGI server."""

    name = "asgi_websocket"

    def routes(self) -> Sequence[BaseRoute]:
        """The one route."""
        return [WebSocketRoute("/ws", Endpoint(self.serve))]

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        context = self.context
        address, rate = context.address_of(scope), context.new_rate()
        await AsgiLink(context.reception, address, rate, scope, receive, send).run()


class AsgiLink(QueuedLink[Message]):
    """One WebSocket of a client, carried by an ASGI server.

    ASGI shows no PONGs, so frames count as unproven for 2 s.
    """

    kind = LinkKind.WEBSOCKET

    def __init__(
        self,
        reception: Reception,
        peer_address: str,
        rate: FrameRate | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        super().__init__(reception, peer_address, rate)
        self._query = scope.get("query_string", b"").decode("latin-1")
        self._can_answer = "websocket.http.response" in scope.get("extensions", {})
        """Whether the ASGI server can answer an upgrade by HTTP."""
        self._receive = receive
        self._send = send
        self._closed_code = 1006
        """How the link ended: of the first close frame, from either side; 1006 as long as there was none."""

    async def run(self) -> None:
        """Serve the link from accept to disconnect."""
        await self._receive()
        if not self.reception.enter(self, silent=True):
            await self._turn_away()
            return
        writer = None
        try:
            await self._send({"type": "websocket.accept"})
            writer = asyncio.create_task(self._write_all(self._send))
            if await self._shake_hands():
                await self._read_all()
        finally:
            self._end()
            if self.client is not None:
                self.hub.resume.lost(self.client, self, self._closed_code)
            self.reception.gone(self)
            if writer is not None:
                await asyncio.wait([writer], timeout=2.0)
                writer.cancel()

    async def _turn_away(self) -> None:
        """Answer the upgrade with 503, which makes every client try again.

        A close before the upgrade would read as 403, upon which Python clients give up.
        """
        if self._can_answer:
            head = {"status": 503, "headers": [(b"retry-after", b"1")]}
            await self._send({"type": "websocket.http.response.start", **head})
            await self._send({"type": "websocket.http.response.body", "body": BUSY.encode()})
            return
        await self._send({"type": "websocket.accept"})
        await self._send({"type": "websocket.close", "code": 1013, "reason": BUSY})

    async def _shake_hands(self) -> bool:
        if is_obsolete(self, self._query):
            return False
        try:
            async with asyncio.timeout(self.reception.limits.handshake_timeout_s):
                message = await self._receive()
            if message["type"] != "websocket.receive" or self._ended:
                return False
            self.reception.newcomers.busy(self)
            text = message.get("text")
            if text is None:
                refuse_not_text(self)
                return False
            return await shake_hands(self, text)
        except TimeoutError:
            refuse_late(self)
            return False
        finally:
            self.reception.leave(self)

    async def _read_all(self) -> None:
        client = self.client
        assert client is not None
        while not self._ended:
            await self.readable.wait()
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self._closed_code = message.get("code") or 1005
                return
            self._take(client, message)

    def _take(self, client: Client, message: MutableMapping[str, Any]) -> None:
        data = message.get("bytes")
        if self._ended:  # while the message was awaited
            return
        if data is None:
            self.take_control(client, parse_control(message.get("text") or ""))
        elif len(data) > self.reception.limits.frame_bytes:
            self.close(1009, "Message too large")
        else:
            self.take_frame(client, data)

    def send_frame(self, frame: Frame) -> None:
        """Queue one binary frame."""
        data = bytes(payload(frame))
        self._put({"type": "websocket.send", "bytes": data}, len(data))

    def send_control(self, message: dict[str, Any]) -> None:
        """Queue one control message as JSON text."""
        text = control(message)
        self._put({"type": "websocket.send", "text": text}, len(text))

    def close(self, code: int, reason: str) -> None:
        """End the link after what is queued."""
        if not self._ended:
            self._put({"type": "websocket.close", "code": code, "reason": close_reason(reason)}, 0)
            self._end()
            self._closed_code = code
