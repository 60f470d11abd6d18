"""A WebSocket carried by an ASGI server: what it queues, and how it refuses."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from hypha.limits import Places
from hypha.transports.asgi_websocket import AsgiLink
from hypha.wire.frames import encode, payload
from hypha.wire.handshake import Busy

LARGE = encode({"type": "method"}, {"args": [b"x" * 100_000]})
SMALL = encode({"type": "method"})


class Reception:
    """Admits everybody, or fails."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.hub = SimpleNamespace(time=lambda: 0.0, resume=SimpleNamespace(lost=lambda *_: None))
        self.limits = SimpleNamespace(handshake_timeout_s=5.0)
        self.newcomers: Places[Any] = Places(2, 2, lambda link: link.close(1013, ""), lambda: 0.0)

    def enter(self, link: Any, *, silent: bool) -> bool:
        return self.newcomers.enter(link, link.peer_address, idle=silent)

    def gone(self, link: Any) -> None:
        self.leave(link)

    def leave(self, link: Any) -> None:
        self.newcomers.leave(link)

    async def admit(self, first: Any, link: Any) -> Any:
        if self.failure is not None:
            raise self.failure
        return SimpleNamespace(connection=link, is_choked=False, last_received=0.0)

    def rate_of(self, client: Any, own: Any) -> Any:
        return own

    def connection_info(self, client: Any) -> dict[str, Any]:
        return {"type": "connection_info"}


class Wire:
    """Both ends of an ASGI server's WebSocket."""

    def __init__(self, *incoming: dict[str, Any]) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for message in ({"type": "websocket.connect"}, *incoming):
            self.incoming.put_nowait(message)
        self.sent: list[dict[str, Any]] = []

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def link(self, reception: Any, *extensions: str) -> AsgiLink:
        scope = {"extensions": {name: {} for name in extensions}}
        return AsgiLink(reception, "127.0.0.1", None, scope, self.incoming.get, self.send)  # type: ignore[arg-type]


FIRST = {"type": "websocket.receive", "text": '{"client_id": "a"}'}
GONE = {"type": "websocket.disconnect", "code": 1000}


async def test_nothing_counts_as_buffered_once_all_frames_are_taken() -> None:
    wire = Wire(FIRST, GONE)
    link = wire.link(Reception())
    assert isinstance(LARGE, bytearray)
    for frame in (LARGE, SMALL):
        link.send_frame(frame)
    assert link.buffered_bytes() == len(payload(LARGE)) + len(payload(SMALL))
    await link.run()
    assert [m["bytes"] for m in wire.sent if "bytes" in m] == [bytes(payload(LARGE)), bytes(payload(SMALL))]
    assert link.buffered_bytes() == 0


async def test_a_failing_server_refuses_with_a_text_and_1011() -> None:
    reception = Reception(RuntimeError("the disk is on fire"))
    wire = Wire(FIRST)
    await wire.link(reception).run()
    accepted, refusal, closed = wire.sent
    assert accepted == {"type": "websocket.accept"}
    assert "the server failed; try again" in refusal["text"]
    assert "fire" not in refusal["text"]
    assert closed["type"] == "websocket.close" and closed["code"] == 1011
    assert len(reception.newcomers) == 0


async def test_a_busy_server_closes_with_1013_and_without_a_text() -> None:
    wire = Wire(FIRST)
    await wire.link(Reception(Busy("the database is away"))).run()
    assert [message["type"] for message in wire.sent] == ["websocket.accept", "websocket.close"]
    assert wire.sent[-1]["code"] == 1013


async def test_too_many_handshakes_are_answered_with_503_and_never_with_403() -> None:
    reception = Reception()
    for busy in ("one", "two"):
        reception.newcomers.enter(busy, "elsewhere")
    wire = Wire(FIRST)
    await wire.link(reception, "websocket.http.response").run()
    assert [message["type"] for message in wire.sent] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert wire.sent[0]["status"] == 503
    plain = Wire(FIRST)
    await plain.link(reception).run()
    assert [message["type"] for message in plain.sent] == ["websocket.accept", "websocket.close"]
    assert plain.sent[-1]["code"] == 1013
