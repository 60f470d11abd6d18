"""What goes out to a visitor is what HTTP and WebSocket allow."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.types import Message

from hypha.errors import InvalidRequest
from hypha.gateways.asgi_apps.outgoing import Outgoing, sendable_code, until_gone


class Wire:
    """Takes messages until the socket is gone."""

    def __init__(self, error: Exception | None = None, **scope: Any) -> None:
        self.sent: list[Message] = []
        self.error = error
        self.out = Outgoing(self.take, scope)

    async def take(self, message: Message) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(message)

    async def start(self, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
        await self.out({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def body(self, data: bytes, *, more: bool = False) -> None:
        await self.out({"type": "http.response.body", "body": data, "more_body": more})


@pytest.mark.parametrize(
    "error",
    [RuntimeError("the handler is closed"), OSError("gone"), ConnectionResetError(), BrokenPipeError()],
)
async def test_a_socket_that_is_gone_is_no_error(error: Exception) -> None:
    wire = Wire(error, method="GET")
    await wire.start()
    assert wire.out.left.is_set() and wire.out.broke
    wire.error = None
    await wire.body(b"x")
    assert wire.sent == []


async def test_the_web_server_is_waited_for_until_it_knows_too() -> None:
    parts = iter(["http.request", "http.request", "http.disconnect"])

    async def receive() -> Message:
        return {"type": next(parts)}

    await until_gone(receive)
    assert next(parts, None) is None


@pytest.mark.parametrize(("method", "status"), [("GET", 204), ("POST", 205), ("GET", 304), ("HEAD", 200)])
async def test_content_that_may_not_be_is_left_out(method: str, status: int) -> None:
    wire = Wire(method=method)
    await wire.start(status, (b"content-length", b"3"), (b"x-a", b"1"))
    await wire.body(b"ab", more=True)
    await wire.body(b"c")
    start, *bodies = wire.sent
    assert [message["body"] for message in bodies] == [b"", b""]
    length = {200: [b"3"], 205: [b"0"]}.get(status, [])
    assert [value for name, value in start["headers"] if name == b"content-length"] == length
    assert (b"x-a", b"1") in start["headers"]


async def test_an_answer_has_the_length_that_it_told() -> None:
    wire = Wire(method="GET")
    await wire.start(200, (b"content-length", b"3"), (b"content-length", b"3"))
    assert wire.sent[0]["headers"] == [(b"content-length", b"3")]
    await wire.body(b"ab", more=True)
    await wire.body(b"c")
    assert len(wire.sent) == 3
    for parts in ([b"abcd"], [b"ab"], [b"abc", b"d"]):
        wire = Wire(method="GET")
        await wire.start(200, (b"content-length", b"3"))
        with pytest.raises(InvalidRequest, match="not as long"):
            for index, part in enumerate(parts):
                await wire.body(part, more=index + 1 < len(parts))
    with pytest.raises(InvalidRequest, match="more than one"):
        await Wire(method="GET").start(200, (b"content-length", b"3"), (b"content-length", b"4"))


@pytest.mark.parametrize("chosen", ["other", "chat\r\nset-cookie: a=b", "", 5, b"chat", "ch\u00e4t"])
async def test_only_an_offered_protocol_is_accepted(chosen: Any) -> None:
    wire = Wire(subprotocols=["chat"])
    with pytest.raises(InvalidRequest, match="not offered"):
        await wire.out({"type": "websocket.accept", "subprotocol": chosen})
    for fit in (None, "chat"):
        await wire.out({"type": "websocket.accept", "subprotocol": fit})
    assert len(wire.sent) == 2


def test_closing_codes_that_no_frame_holds_are_normal() -> None:
    for code in (1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999):
        assert sendable_code(code) == code
    for odd in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535, -1, "1001", None, 1e3):
        assert sendable_code(odd) == 1000


async def test_a_reason_fits_into_its_frame() -> None:
    wire = Wire()
    await wire.out({"type": "websocket.close", "code": 4000, "reason": "\u20ac" * 100})
    await wire.out({"type": "websocket.close", "code": 4000, "reason": None})
    assert [message["reason"] for message in wire.sent] == ["\u20ac" * 41, ""]
