"""Clients by the thousand in one process: the wire format on picows, without what a test looks at.

`RawClient` keeps all that it receives and shows it; a `CrowdClient` costs a tenth of it, so that the
server and not the test is what a load test measures.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import orjson
from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from hypha.testing.rawclient import RawCallError, pack, unpack

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
JITTER = 0.1


class CrowdClient(WSListener):
    """One admitted WebSocket that calls, and answers its plain functions.

    Get one from `connect` or `come_back`.
    """

    def __init__(self) -> None:
        self.info: dict[str, Any] = {}
        self.transport: WSTransport | None = None
        self.is_closed = False
        self._admitted: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._calls: dict[str, asyncio.Future[Any]] = {}
        self._numbers = itertools.count()
        self._writable = asyncio.Event()
        self._writable.set()
        self._functions: dict[str, Callable[..., Any]] = {}

    @classmethod
    async def connect(cls, ws_url: str, *, timeout_s: float = 30.0, **first: Any) -> Self:
        """Connect and do the handshake with the given fields (`client_id`, `token`, …).

        Raises:
            ConnectionError: refused or cut. OSError, WSError: no connection, or no upgrade.
        """
        client = cls()
        transport, _ = await ws_connect(lambda: client, ws_url, websocket_handshake_timeout=timeout_s)
        first.setdefault("client_id", f"crowd-{uuid.uuid4().hex[:12]}")
        transport.send(WSMsgType.TEXT, orjson.dumps(first))
        client.info = await asyncio.wait_for(client._admitted, timeout_s)
        return client

    @classmethod
    async def come_back(
        cls,
        ws_url: str,
        info: Mapping[str, Any],
        token: str,
        *,
        chance: random.Random,
        within_s: float = 90.0,
    ) -> Self:
        """Resume the client whose `connection_info` this is, as the libraries do: at once, then after
        pauses that double from one second, a little different for everybody."""
        first = {"client_id": info["client_id"], "reconnection_token": info["reconnection_token"]}
        pause_s = FIRST_PAUSE_S
        async with asyncio.timeout(within_s):
            while True:
                try:
                    return await cls.connect(ws_url, token=token, **first)
                except (OSError, WSError):
                    await asyncio.sleep(pause_s * chance.uniform(1 - JITTER, 1 + JITTER))
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    @property
    def address(self) -> str:
        """`workspace/client_id`."""
        return f"{self.info['workspace']}/{self.info['client_id']}"

    def send(self, data: bytes) -> None:
        """Write one binary frame; it waits in memory when the server doesn't read."""
        if self.transport is None or self.is_closed:
            raise ConnectionError("the link broke")
        self.transport.send(WSMsgType.BINARY, data)

    async def drained(self) -> None:
        """Wait until the server has read nearly all that was written."""
        await self._writable.wait()
        await asyncio.sleep(0)

    def drop(self) -> None:
        """Abort the TCP connection without a close frame."""
        if self.transport is not None:
            self.transport.disconnect(False)

    def leave(self) -> None:
        """Close with a close frame, for good."""
        if self.transport is not None:
            self.transport.send_close(WSCloseCode.OK)
            self.transport.disconnect()

    async def call(self, to: str, method: str, args: Sequence[Any] = (), *, timeout_s: float = 30.0) -> Any:
        """Call and wait for the answer.

        Raises:
            RawCallError: the answer was an error. ConnectionError: the link broke first.
        """
        session = f"S{next(self._numbers)}"
        main = {"type": "method", "from": self.address, "to": to, "method": method, "session": session}
        self.send(pack(main, {"args": list(args), "promise": "*", "t": timeout_s / 2}))
        future = self._calls[session] = asyncio.get_running_loop().create_future()
        try:
            return await asyncio.wait_for(future, timeout_s)
        finally:
            del self._calls[session]

    @property
    def manager(self) -> str:
        """The address of the workspace manager."""
        return f"*/{self.info['manager_id']}"

    async def call_manager(self, function: str, *args: Any) -> Any:
        """Call a function of the workspace manager."""
        return await self.call(self.manager, f"services.default.{function}", args)

    async def offer(self, name: str, functions: Mapping[str, Callable[..., Any]]) -> None:
        """Register `built-in` and a service as the libraries do; its functions are called at once."""
        self._functions.update({f"services.{name}.{key}": value for key, value in functions.items()})
        for service, kind, visibility in (
            ("built-in", "built-in", "public"),
            (name, "generic", "protected"),
        ):
            config = {
                "visibility": visibility,
                "require_context": False,
                "workspace": self.info["workspace"],
            }
            info = {"id": f"{self.address}:{service}", "name": service, "type": kind, "app_id": "*"}
            await self.call_manager("register_service", {**info, "config": config})

    # -- picows callbacks

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade is done."""
        self.transport = transport

    def pause_writing(self) -> None:
        """The server reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The server has caught up."""
        self._writable.set()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Fail everything that waits."""
        self.is_closed = True
        self._writable.set()
        for future in (self._admitted, *self._calls.values()):
            if not future.done():
                future.set_exception(ConnectionError("the link broke"))
                future.exception()  # a call that nobody awaits any more is no fault

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take an answer, a call or a control message."""
        if frame.msg_type == WSMsgType.BINARY:
            self._take(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.TEXT and not self._admitted.done():
            message = orjson.loads(frame.get_payload_as_bytes())
            if message.get("type") == "connection_info":
                self._admitted.set_result(message)
            else:
                self._admitted.set_exception(ConnectionError(str(message)))
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def _take(self, data: bytes) -> None:
        try:
            frame = unpack(data)
        except ValueError:
            return  # a damaged frame of somebody else
        session, _, outcome = frame.method.rpartition(".")
        function = self._functions.get(frame.method)
        args = frame.extra.get("args") or []
        if function is not None or frame.method == "services.built-in.ping":
            value = function(*args) if function is not None else "pong"
            main = {"type": "method", "from": self.address, "to": frame.main["from"]}
            self.send(pack({**main, "method": f"{frame.main.get('session')}.resolve"}, {"args": [value]}))
        elif (future := self._calls.get(session)) is not None and not future.done():
            if outcome == "resolve":
                future.set_result(args[0] if args else None)
            elif outcome == "reject":
                future.set_exception(RawCallError(str(args[0].get("_rvalue"))))
