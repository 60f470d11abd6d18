"""How answers and WebSockets of applications end: without content, by either side, by a visitor leaving."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Close

from hypha.testing import ServerProcess, eventually
from tests.kit.clients import Connect
from tests.kit.people import make_person

pytestmark = pytest.mark.timeout(120)

UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
CLOSES: dict[str, tuple[tuple[int, str], tuple[int, str]]] = {
    "an application's own": ((4001, "enough"), (4001, "enough")),
    "a registered one": ((3000, ""), (3000, "")),
    "normal": ((1000, "bye"), (1000, "bye")),
    "going away": ((1001, ""), (1001, "")),
    "too long a reason": ((4002, "\u00fc" * 200), (4002, "\u00fc" * 61)),
    "one that no frame may hold": ((1006, "x"), (1000, "x")),
    "no status": ((1005, ""), (1000, "")),
    "no code at all": ((70_000, ""), (1000, "")),
}


class Lab:
    """Where the applications are, and what they saw."""

    def __init__(self, server: ServerProcess, workspace: str, seen: dict[str, Any]) -> None:
        self.server, self.seen = server, seen
        self.base = f"/{workspace}/apps"
        self.socket_url = f"{server.url.replace('http', 'ws', 1)}{self.base}/web"

    async def raw(self, head: str, body: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which one request was sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        method, _, path = head.partition(" ")
        path, _, fields = path.partition("\r\n")
        writer.write(f"{method} {self.base}/{path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode() + body)
        return reader, writer


def application(seen: dict[str, Any]) -> FastAPI:  # noqa: C901 (a list of small handlers)
    app = FastAPI()

    @app.api_route("/status/{status}", methods=["GET", "HEAD"])
    async def with_status(status: int) -> Response:
        return PlainTextResponse("a body all the same", status, headers={"x-seen": "yes"})

    @app.get("/length/{told}")
    async def with_length(told: int) -> Response:
        return Response(b"0123456789", headers={"content-length": str(told)})

    @app.get("/slow")
    async def slow() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 50_000
                    await asyncio.sleep(0.005)
            finally:
                seen["ended"] = seen.get("ended", 0) + 1

        return StreamingResponse(parts())

    @app.post("/upload")
    async def upload(request: Request) -> int:
        return sum([len(part) async for part in request.stream()])

    @app.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            seen[str(socket.query_params.get("visitor"))] = message
            return
        wish = json.loads(message["text"])
        if wish == "flood":
            for _ in range(2000):
                await socket.send_text("y" * 10_000)
        elif wish == "fail":
            raise ValueError("bad thing")
        elif wish != "return":
            await socket.close(*wish)
            seen["after closing"] = await socket.receive()

    @app.websocket("/protocol")
    async def protocol(socket: WebSocket) -> None:
        await socket.accept("chat\r\nSet-Cookie: access_token=x; Path=/")

    @app.websocket("/other-protocol")
    async def other_protocol(socket: WebSocket) -> None:
        await socket.accept("not-offered")

    return app


def pages(seen: dict[str, Any]) -> dict[str, Any]:
    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"z" * 50_000
                await asyncio.sleep(0.005)
        finally:
            seen["page ended"] = seen.get("page ended", 0) + 1

    def with_status(status: int) -> Callable[[Any], dict[str, Any]]:
        return lambda event: {"status": status, "body": "a body all the same", "headers": {"x-seen": "yes"}}

    def streaming(status: int) -> Callable[[Any], dict[str, Any]]:
        return lambda event: {"status": status, "body": endless(), "headers": {"x-seen": "yes"}}

    return {
        "id": "pages",
        "type": "functions",
        "config": {"visibility": "public"},
        "status": {str(status): with_status(status) for status in (200, 204, 205, 304, 404)},
        "stream": {str(status): streaming(status) for status in (200, 204, 205, 304)},
        "upload": lambda event: {"body": str(len(event["body"] or b""))},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(module_connect: Connect) -> AsyncIterator[Lab]:
    """A server of its own, whose log tells of nothing else."""
    async with ServerProcess() as server:
        person = make_person(server, "endings")
        client = await module_connect(person, url=server.url)
        seen: dict[str, Any] = {}
        app = application(seen)

        async def serve(args: dict[str, Any]) -> None:
            await app(args["scope"], args["receive"], args["send"])

        config = {"visibility": "public"}
        await client.register_service({"id": "web", "type": "asgi", "config": config, "serve": serve})
        await client.register_service(pages(seen))
        yield Lab(server, person.workspace, seen)
        await client.disconnect()


def complaints(log: str) -> list[str]:
    return [
        line
        for line in log.splitlines()
        if "Traceback" in line or '"level": "error"' in line or "ERROR" in line
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", [200, 204, 205, 304, 404])
@pytest.mark.parametrize("what", ["web/status", "pages/status", "pages/stream"])
async def test_an_answer_that_must_have_no_content_has_none(
    lab: Lab, what: str, status: int, method: str
) -> None:
    if what == "pages/stream" and (status == 404 or (status == 200 and method == "GET")):
        return
    before = len(lab.server.log)
    reader, writer = await lab.raw(f"{method} {what}/{status}")
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert head.startswith(f"http/1.1 {status} ") and "x-seen: yes" in head
    has_content = method == "GET" and status in (200, 404)
    if has_content:
        assert await reader.readexactly(19) == b"a body all the same"
    lengths = [line for line in head.splitlines() if line.startswith("content-length")]
    allowed = {204: [[]], 304: [[]], 205: [["content-length: 0"]]}.get(status, [["content-length: 19"], []])
    assert lengths in allowed
    assert "transfer-encoding" not in head
    writer.write(
        b"GET /health/liveness HTTP/1.1\r\nHost: x\r\n\r\n"
    )  # the connection is where both sides think
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    writer.close()
    assert complaints(lab.server.log[before:]) == []


@pytest.mark.parametrize("told", [5, 50])
async def test_an_answer_of_another_length_than_it_told_breaks_off(lab: Lab, told: int) -> None:
    before = len(lab.server.log)
    reader, writer = await lab.raw(f"GET web/length/{told}")
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 200 ") and b"0123456789" not in answer[:-10]
    writer.close()
    assert "Traceback" not in lab.server.log[before:]
    assert "not as long as its Content-Length says" in lab.server.log[before:]


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("GET web/slow", b""),
        ("GET pages/stream/200", b""),
        ("POST web/upload\r\nContent-Length: 1000\r\n", b"abc"),
        ("POST pages/upload\r\nContent-Length: 1000\r\n", b"abc"),
        (f"GET web/socket\r\n{UPGRADE}", b""),
        (f"GET web/socket\r\n{UPGRADE}", bytes.fromhex("818700000000") + b'"flood"'),
    ],
)
async def test_a_visitor_who_leaves_early_is_no_fault(lab: Lab, head: str, body: bytes, resets: bool) -> None:
    before = len(lab.server.log)
    for wanted in (0, 1, 0, 1, 100_000):
        reader, writer = await lab.raw(head, body)
        if wanted and head.startswith("GET"):
            await reader.read(wanted)
        if resets:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()
    _, writer = await lab.raw("GET pages/status/200")  # all is well for the next
    writer.close()
    for key, path in (("ended", "web/slow"), ("page ended", "pages/stream/200")):
        if path in head:
            await eventually(lambda key=key: lab.seen.get(key, 0) >= 3, within_s=20)
            lab.seen.pop(key)
    assert complaints(lab.server.log[before:]) == []
    assert "ServerFault" not in lab.server.log[before:]


@pytest.mark.parametrize("name", CLOSES)
async def test_a_visitor_learns_how_the_application_closed(lab: Lab, name: str) -> None:
    said, expected = CLOSES[name]
    before = len(lab.server.log)
    lab.seen.pop("after closing", None)
    async with connect_socket(f"{lab.socket_url}/socket") as socket:
        await socket.send(json.dumps(said))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd == Close(*expected)
    assert (await eventually(lambda: lab.seen.get("after closing")))["code"] == expected[0]
    assert complaints(lab.server.log[before:]) == []


@pytest.mark.parametrize(
    ("code", "reason"), [(4321, "b\u00fde"), (1000, ""), (1001, "leaving"), (3999, "x" * 123)]
)
async def test_an_application_learns_how_its_visitor_closed(lab: Lab, code: int, reason: str) -> None:
    async with connect_socket(f"{lab.socket_url}/socket?visitor={code}") as socket:
        await socket.close(code, reason)
    closed = await eventually(lambda: lab.seen.get(str(code)))
    assert (closed["type"], closed["code"], closed["reason"]) == ("websocket.disconnect", code, reason)


async def test_an_application_learns_that_its_visitor_vanished(lab: Lab) -> None:
    reader, writer = await lab.raw(f"GET web/socket?visitor=vanishing\r\n{UPGRADE}")
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    closed = await eventually(lambda: lab.seen.get("vanishing"))
    assert (closed["type"], closed["code"]) == ("websocket.disconnect", 1006)


@pytest.mark.parametrize(
    ("wish", "expected"), [("return", Close(1000, "")), ("fail", Close(1011, "ValueError: bad thing"))]
)
async def test_a_socket_ends_as_its_application_does(lab: Lab, wish: str, expected: Close) -> None:
    async with connect_socket(f"{lab.socket_url}/socket") as socket:
        await socket.send(json.dumps(wish))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd == expected


@pytest.mark.parametrize("path", ["protocol", "other-protocol"])
async def test_a_socket_is_accepted_only_with_a_protocol_that_was_offered(lab: Lab, path: str) -> None:
    words: Any = ["chat"]
    with pytest.raises(InvalidStatus) as refused:
        async with connect_socket(f"{lab.socket_url}/{path}", subprotocols=words):
            pass
    assert "set-cookie" not in refused.value.response.headers


async def test_a_socket_whose_application_vanishes_is_told(lab: Lab, connect: Connect) -> None:
    person = make_person(lab.server, "vanishing")
    client = await connect(person, url=lab.server.url)
    begun = asyncio.Event()

    async def serve(args: dict[str, Any]) -> None:
        await args["send"]({"type": "websocket.accept"})
        begun.set()
        await asyncio.sleep(60)

    config = {"visibility": "public"}
    await client.register_service({"id": "web", "type": "asgi", "config": config, "serve": serve})
    url = f"{lab.server.url.replace('http', 'ws', 1)}/{person.workspace}/apps/web/"
    async with connect_socket(url) as socket:
        await begun.wait()
        await client.disconnect()
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), 20)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1011
    assert closed.value.rcvd.reason
