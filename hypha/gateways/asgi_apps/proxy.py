"""ASGI applications of clients: `serve({scope, receive, send})`, streaming both ways.

`receive` and `send` are functions of the server that the client calls back while `serve` runs.
Each waits for the socket, so a body is never held whole: at most one part per direction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

from starlette.types import Message

from hypha.errors import CallFailed, HyphaError, InvalidRequest, LimitReached
from hypha.gateways.asgi_apps.answers import (
    as_headers,
    failure_text,
    mounted_location,
    names_origin,
    send_error,
)
from hypha.gateways.asgi_apps.intake import Intake
from hypha.gateways.asgi_apps.mount import Mount
from hypha.gateways.asgi_apps.outgoing import FAILED, NORMAL, sendable_code
from hypha.gateways.context import GatewayContext
from hypha.hub.callbacks import Function
from hypha.web.function_pages import as_status
from hypha.web.scope import NAMED

logger = logging.getLogger(__name__)

REFUSED = 1008
TRY_LATER = 1013
ENDING_S = 5.0
"""How long an application may go on after its client left or has its answer."""


class AsgiProxy:
    """Passes one HTTP request or WebSocket to an ASGI service and its answer back."""

    def __init__(self, services: GatewayContext, mount: Mount) -> None:
        self._services = services
        self._mount = mount
        self._kind: str = mount.scope["type"]
        self._intake = Intake(mount)
        self._sending = asyncio.Lock()
        self._finished = asyncio.Event()

    async def run(self) -> None:
        """Serve the request to its end; nothing is raised for the application's mistakes.

        Raises:
            HyphaError: the visitor has lost the right to be here; a WebSocket was closed for it.
        """
        try:
            party = await self._services.party(self._mount.scope)
            with self._intake.counting(self._services.unread, party):
                async with self._services.lasting.watching(self._mount.context):
                    await self._run()
        except HyphaError as error:
            if self._kind == "websocket":
                await self._mount.send({"type": "websocket.close", "code": REFUSED, "reason": error.message})
            else:
                raise

    async def _run(self) -> None:
        reading = asyncio.create_task(self._intake.run())
        serving = asyncio.ensure_future(self._serve())
        ending = asyncio.create_task(self._over())
        try:
            await asyncio.wait((serving, ending), return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():
                await asyncio.wait((serving,), timeout=ENDING_S)
            if serving.done():
                await self._conclude(serving)
        finally:
            for task in (reading, serving, ending):
                task.cancel()
            await asyncio.gather(reading, serving, ending, return_exceptions=True)

    async def _over(self) -> None:
        """Wait until the client has left, sends no more or has its whole answer."""
        waits = [asyncio.create_task(event.wait()) for event in self._ends()]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _ends(self) -> tuple[asyncio.Event, ...]:
        return self._mount.send.left, self._intake.failed, self._finished

    def _serve(self) -> Awaitable[Any]:
        mount, services = self._mount, self._services
        functions: dict[str, Function] = {"receive": self.receive, "send": self.send}
        return services.calling.call_with(
            mount.record,
            "serve",
            {"scope": mount.plain_scope()},
            functions,
            mount.context,
            services.call_timeout_s,
        )

    async def receive(self) -> Message:
        """The next part of the request, for the application."""
        message = await self._intake.take(self._finished)
        return self._intake.farewell() if message is None else message

    async def send(self, event: Any) -> None:
        """Pass one event of the application on; waits until the socket has taken it.

        What comes after the client left goes nowhere: `receive` tells of that.

        Raises:
            InvalidRequest: the event does not fit.
            LimitReached: the visitor has not read what was sent before; the request ends.
        """
        if not isinstance(event, dict):
            raise InvalidRequest("An event of an application is a map with a `type`.")
        with self._intake.keeping(event):
            await self._send_in_turn(event)

    async def _send_in_turn(self, event: dict[str, Any]) -> None:
        async with self._sending:
            if self._finished.is_set():
                raise InvalidRequest("The answer is complete already; this is not needed any more.")
            if self._mount.send.left.is_set():
                return
            if self._kind == "http":
                await self._send_http(event)
            else:
                await self._send_websocket(event)

    async def _send_http(self, event: dict[str, Any]) -> None:
        mount, kind = self._mount, event.get("type")
        if kind == "http.response.start":
            if mount.send.has_started:
                raise InvalidRequest("The answer has begun already.")
            headers = as_headers(event.get("headers"), keep_length=True)
            headers = mounted_location(headers, mount.scope, mount.root_path, mount.path)
            status = as_status(event.get("status", 200))
            named = names_origin(event.get("headers"), mount.scope)
            await mount.send({"type": kind, "status": status, "headers": headers, NAMED: named})
        elif kind == "http.response.body":
            if not mount.send.has_started:
                raise InvalidRequest("http.response.start must come before the body.")
            more = bool(event.get("more_body", False))
            await mount.send({"type": kind, "body": _bytes(event.get("body", b"")), "more_body": more})
            if not more:
                self._finished.set()
        else:
            raise InvalidRequest(f"An HTTP application cannot send {str(kind)[:80]!r}.")

    async def _send_websocket(self, event: dict[str, Any]) -> None:
        send, kind = self._mount.send, event.get("type")
        if kind == "websocket.accept":
            headers = as_headers(event.get("headers"))
            await send({"type": kind, "subprotocol": event.get("subprotocol"), "headers": headers})
        elif kind == "websocket.send":
            data, text = event.get("bytes"), event.get("text")
            if data is not None:
                await send({"type": kind, "bytes": _bytes(data)})
            else:
                await send({"type": kind, "text": str(text or "")})
        elif kind == "websocket.close":
            code, reason = event.get("code"), event.get("reason")
            await send({"type": kind, "code": code, "reason": reason})
            self._intake.closing = sendable_code(code), str(reason or "")
            self._finished.set()
        else:
            raise InvalidRequest(f"A WebSocket application cannot send {str(kind)[:80]!r}.")

    async def _conclude(self, serving: asyncio.Future[Any]) -> None:
        """`serve` has ended: complete an answer that it left open."""
        raised = serving.exception()
        if self._finished.is_set() or self._mount.send.left.is_set():
            return
        error: BaseException | None = self._intake.failure or raised
        if error is not None and not isinstance(error, HyphaError):
            raise error
        if self._kind == "websocket":
            await self._close_websocket(error)
        elif not self._mount.send.has_started:
            error = error or CallFailed("RuntimeError: The application ended without an answer.")
            await send_error(self._mount.send, error, self._mount.scope, expose=self._services.expose_errors)
        else:  # the missing end tells the client that the answer broke off
            text = failure_text(error, False) if isinstance(error, CallFailed) else str(error or "no end")
            logger.warning("The answer of %s broke off: %s", self._mount.record.address, text[:200])

    async def _close_websocket(self, error: HyphaError | None) -> None:
        """Close as the application has ended: 1011 with the reason if it failed."""
        text = failure_text(error, False) if isinstance(error, CallFailed) else error.message if error else ""
        code = NORMAL if error is None else TRY_LATER if isinstance(error, LimitReached) else FAILED
        await self._mount.send({"type": "websocket.close", "code": code, "reason": text})


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if value is None:
        return b""
    raise InvalidRequest("A body is bytes or text.")
