"""A socket that speaks the wire format but lets the test make every frame by hand."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgpack
import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed


class RawRefused(Exception):
    """The server refused the handshake: error text, close code and close reason."""

    def __init__(self, message: str | None, code: int | None, reason: str) -> None:
        super().__init__(f"{message} (closed {code}: {reason})")
        self.message = message or ""
        self.code = code
        self.reason = reason


class RawCallError(Exception):
    """The answer to a raw call was a reject; the text is `_rvalue`, `trace` is `_rtrace`."""

    def __init__(self, text: str, trace: str = "") -> None:
        super().__init__(text)
        self.trace = trace


class Frame(NamedTuple):
    """One received binary message: routing map, second map, and the bytes."""

    main: dict[str, Any]
    extra: dict[str, Any]
    raw: bytes

    @property
    def method(self) -> str:
        """The method of the frame, or an empty text for events."""
        return str(self.main.get("method", ""))


def unpack(data: bytes) -> Frame:
    """Split a binary message into its one or two maps."""
    unpacker = msgpack.Unpacker(io.BytesIO(data), max_buffer_size=64 * 1024 * 1024, strict_map_key=False)
    parts = list(unpacker)
    return Frame(parts[0], parts[1] if len(parts) > 1 else {}, data)


def pack(*parts: Any) -> bytes:
    """Concatenate msgpack objects: `pack(main)`, `pack(main, extra)` or more, to be wrong."""
    return b"".join(msgpack.packb(part) for part in parts)


class RawClient:
    """One WebSocket connection whose frames the test writes.

    Everything received is kept: `frames` (binary) and `texts` (JSON). Calls to `built-in.ping`
    and to services given to `offer` are answered; all other calls wait in `calls` until the test
    answers them with `resolve` or `reject`.
    """

    def __init__(self, socket: ClientConnection, info: dict[str, Any]) -> None:
        self.socket = socket
        self.info = info
        self.frames: list[Frame] = []
        self.texts: list[dict[str, Any]] = []
        self.calls: asyncio.Queue[Frame] = asyncio.Queue()
        self.closed: tuple[int | None, str] | None = None
        self._services: dict[str, dict[str, Any]] = {}
        self._changed = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def connect(
        cls,
        ws_url: str,
        *,
        client_id: str | None = None,
        first: Mapping[str, Any] | str | bytes | None = None,
        timeout_s: float = 10.0,
        local_address: str | None = None,
        **fields: Any,
    ) -> RawClient:
        """Connect and do the handshake with the given fields (`workspace`, `token`, …).

        `first` replaces the whole first message; `local_address` is where the connection comes from.
        Raises RawRefused when the server refuses.
        """
        place: dict[str, Any] = {"local_addr": (local_address, 0)} if local_address else {}
        socket = await connect(ws_url, max_size=None, compression=None, ping_interval=None, **place)
        if first is None:
            first = {"client_id": client_id or f"raw-{uuid.uuid4().hex[:12]}", **fields}
        message = None
        try:
            await socket.send(json.dumps(first) if isinstance(first, Mapping) else first)
            message = json.loads(await asyncio.wait_for(socket.recv(), timeout_s))
            if message.get("type") == "connection_info":
                return cls(socket, message)
            await asyncio.wait_for(socket.wait_closed(), timeout_s)
        except ConnectionClosed:
            pass
        except BaseException:
            await socket.close()
            raise
        text = message.get("message") if message else None
        raise RawRefused(text, socket.close_code, socket.close_reason or "")

    @property
    def workspace(self) -> str:
        """The workspace in which the server put this client."""
        return str(self.info["workspace"])

    @property
    def address(self) -> str:
        """`workspace/client_id` of this client."""
        return f"{self.workspace}/{self.info['client_id']}"

    @property
    def manager(self) -> str:
        """Address of the workspace manager."""
        return f"*/{self.info['manager_id']}"

    async def __aenter__(self) -> RawClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, code: int = 1000) -> None:
        """Close with a close frame."""
        await self.socket.close(code)
        await self._reader

    async def abort(self) -> None:
        """Drop the TCP connection without a close frame."""
        self.socket.transport.abort()
        await self._reader

    async def send_bytes(self, data: bytes) -> None:
        """Send one binary message as it is."""
        await self.socket.send(data)

    async def send_text(self, message: Mapping[str, Any] | str) -> None:
        """Send one text message; maps as JSON."""
        await self.socket.send(message if isinstance(message, str) else json.dumps(message))

    async def send(self, main: Mapping[str, Any], *parts: Any) -> None:
        """Send one frame of a routing map and any number of further msgpack objects."""
        await self.send_bytes(pack(dict(main), *parts))

    async def emit(self, kind: str, to: str, **fields: Any) -> None:
        """Send an event."""
        await self.send({"type": kind, "to": to, **fields})

    async def start_call(
        self,
        to: str,
        method: str,
        *args: Any,
        main: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        interval_s: float = 15.0,
    ) -> str:
        """Send a call and return its session; `main` and `extra` add or replace fields."""
        session = uuid.uuid4().hex
        envelope = {"type": "method", "from": self.address, "to": to, "method": method, "session": session}
        values = [*args, dict(kwargs)] if kwargs else list(args)
        body: dict[str, Any] = {"args": values, "promise": "*", "t": interval_s}
        if kwargs:
            body["with_kwargs"] = True
        await self.send({**envelope, **(main or {})}, {**body, **(extra or {})})
        return session

    async def answer_of(self, session: str, timeout_s: float = 5.0) -> Any:
        """Wait for the answer of a session; raises RawCallError for a reject."""

        def is_answer(frame: Frame) -> bool:
            return frame.method in (f"{session}.resolve", f"{session}.reject")

        frame = await self.wait_frame(is_answer, timeout_s=timeout_s, what=f"an answer to {session}")
        args = frame.extra.get("args") or [None]
        if frame.method.endswith(".resolve"):
            return args[0]
        error = args[0] if isinstance(args[0], dict) else {"_rvalue": str(args[0])}
        raise RawCallError(str(error.get("_rvalue")), str(error.get("_rtrace", "")))

    async def call(self, to: str, method: str, *args: Any, timeout_s: float = 5.0, **options: Any) -> Any:
        """Call and wait for the answer; options as for `start_call`."""
        return await self.answer_of(await self.start_call(to, method, *args, **options), timeout_s)

    async def call_manager(self, function: str, *args: Any, **options: Any) -> Any:
        """Call a function of the workspace manager."""
        return await self.call(self.manager, f"services.default.{function}", *args, **options)

    async def offer(
        self, name: str, functions: Mapping[str, Callable[..., Any] | None] | None = None, **config: Any
    ) -> str:
        """Register `built-in` and a service; its plain functions are called with the arguments.

        Calls to names without a function, or with None, wait in `calls`. Returns the service's full id.
        """
        config = {"visibility": "protected", "require_context": False, **config}
        self._services[name] = {"config": config, "functions": dict(functions or {})}
        for service, settings in (
            ("built-in", {"visibility": "public", "require_context": True}),
            (name, config),
        ):
            info = {
                "id": f"{self.address}:{service}",
                "name": service,
                "type": "built-in" if service == "built-in" else "generic",
                "config": {**settings, "workspace": self.workspace},
                "app_id": "*",
            }
            await self.call_manager("register_service", info)
        return f"{self.address}:{name}"

    async def wait_call(self, timeout_s: float = 5.0) -> Frame:
        """The next call that no function of an offered service answers by itself."""
        return await asyncio.wait_for(self.calls.get(), timeout_s)

    async def resolve(self, call: Frame, value: Any = None) -> None:
        """Answer a call that waits in `calls`."""
        await self._answer(call, "resolve", value)

    async def reject(self, call: Frame, text: str) -> None:
        """Answer a call with an error."""
        await self._answer(call, "reject", {"_rtype": "error", "_rvalue": text, "_rtrace": ""})

    async def heartbeat(self, call: Frame) -> None:
        """Tell the caller that its call is being worked on."""
        session = call.main["session"]
        main = {"type": "method", "from": self.address, "to": call.main["from"]}
        await self.send({**main, "method": f"{session}.heartbeat", "parent": session})

    async def _answer(self, call: Frame, how: str, value: Any) -> None:
        session = call.main.get("session")
        if session:
            main = {"type": "method", "from": self.address, "to": call.main["from"]}
            await self.send({**main, "method": f"{session}.{how}", "parent": session}, {"args": [value]})

    async def wait_frame(
        self, wanted: Callable[[Frame], bool], *, timeout_s: float = 5.0, what: str = "a frame"
    ) -> Frame:
        """Return the first frame, received already or later, for which `wanted` is true."""
        checked = 0
        async with self._changed:
            try:
                async with asyncio.timeout(timeout_s):
                    while True:
                        while checked < len(self.frames):
                            checked += 1
                            if wanted(self.frames[checked - 1]):
                                return self.frames[checked - 1]
                        if self.closed is not None:
                            raise ConnectionError(f"closed {self.closed} while waiting for {what}")
                        await self._changed.wait()
            except TimeoutError:
                raise TimeoutError(f"{what} did not come within {timeout_s} s") from None

    async def wait_event(self, kind: str, timeout_s: float = 5.0) -> Frame:
        """Return the first event of a type."""
        return await self.wait_frame(
            lambda frame: frame.main.get("type") == kind, timeout_s=timeout_s, what=kind
        )

    async def wait_text(self, kind: str, timeout_s: float = 5.0) -> dict[str, Any]:
        """Return the first text message of a type."""
        async with self._changed:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait_for(lambda: any(text.get("type") == kind for text in self.texts))
        return next(text for text in self.texts if text.get("type") == kind)

    async def wait_closed(self, timeout_s: float = 5.0) -> tuple[int | None, str]:
        """Wait for the end of the connection; returns close code (None: no close frame) and reason."""
        await asyncio.wait_for(asyncio.shield(self._reader), timeout_s)
        assert self.closed is not None
        return self.closed

    async def is_alive(self, timeout_s: float = 5.0) -> bool:
        """True when the server answers a JSON ping on this connection."""
        seen = sum(text.get("type") == "pong" for text in self.texts)
        try:
            await self.send_text({"type": "ping"})
            async with self._changed, asyncio.timeout(timeout_s):
                await self._changed.wait_for(
                    lambda: (
                        sum(text.get("type") == "pong" for text in self.texts) > seen
                        or self.closed is not None
                    )
                )
        except (ConnectionClosed, TimeoutError):
            return False
        return self.closed is None

    async def _read(self) -> None:
        try:
            async for message in self.socket:
                async with self._changed:
                    if isinstance(message, str):
                        self.texts.append(json.loads(message))
                    else:
                        self.frames.append(unpack(message))
                    self._changed.notify_all()
                if not isinstance(message, str):
                    await self._serve(self.frames[-1])
        except (ConnectionClosed, websockets.exceptions.WebSocketException):
            pass
        finally:
            async with self._changed:
                self.closed = (self.socket.close_code, self.socket.close_reason or "")
                self._changed.notify_all()

    async def _serve(self, frame: Frame) -> None:
        service, _, function = frame.method.removeprefix("services.").partition(".")
        args = frame.extra.get("args", [])
        if not frame.method.startswith("services."):
            return
        if frame.method == "services.built-in.ping":
            await self._resolve_promise(frame, "pong")
        elif frame.method == "services.built-in.get_service" and args and args[0] in self._services:
            await self._resolve_promise(frame, self._describe(args[0]))
        elif (run := self._services.get(service, {}).get("functions", {}).get(function)) is not None:
            await self._resolve_promise(frame, run(*args))
        else:
            self.calls.put_nowait(frame)

    async def _resolve_promise(self, frame: Frame, value: Any) -> None:
        promise = frame.extra.get("promise")
        if isinstance(promise, dict):
            main = {"type": "method", "from": self.address, "to": frame.main["from"]}
            session = frame.main.get("session")
            await self.send(
                {**main, "method": promise["resolve"]["_rmethod"], "parent": session}, {"args": [value]}
            )
        else:
            await self.resolve(frame, value)

    def _describe(self, name: str) -> dict[str, Any]:
        service = self._services[name]
        methods = {
            function: {
                "_rtype": "method",
                "_rserver": self.info["public_base_url"],
                "_rtarget": self.address,
                "_rmethod": f"services.{name}.{function}",
                "_rpromise": "*",
                "_rname": function,
                "_rasync": False,
                "_rdoc": None,
            }
            for function in service["functions"]
        }
        return {"id": name, "name": name, "type": "generic", "config": service["config"], **methods}
