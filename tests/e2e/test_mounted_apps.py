"""`functions` and ASGI services over HTTP, with real Python providers (docs/applications.md)."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import ConnectionClosed, InvalidStatus

from hypha.testing import ServerProcess, eventually
from tests.kit.clients import Connect
from tests.kit.people import Person, make_person

MIB = 1024 * 1024


class Mounts:
    """A provider's workspace, what its code saw, and an HTTP client."""

    def __init__(self, http: httpx.AsyncClient, workspace: str, seen: dict[str, Any]) -> None:
        self.http = http
        self.workspace = workspace
        self.seen = seen

    def path(self, service: str, path: str = "") -> str:
        return f"/{self.workspace}/apps/{service}/{path}"


def pages(seen: dict[str, Any]) -> dict[str, Any]:
    """A `functions` service."""

    def keep(event: Any) -> dict[str, Any]:
        seen["event"] = event
        return {"status": 200, "body": "kept"}

    def fail(event: Any) -> None:
        raise ValueError("bad thing")

    async def chunks() -> AsyncIterator[bytes]:
        for word in (b"a", b"b", b"c"):
            yield word

    return {
        "id": "pages",
        "type": "functions",
        "config": {"visibility": "public"},
        "index": lambda event: {"body": "<h1>front</h1>", "headers": {"Content-Type": "text/html"}},
        "keep": keep,
        "fail": fail,
        "none": lambda event: {"status": 204},
        "raw": lambda event: {"body": b"\x00\xff", "headers": {"X-Kind": "raw"}},
        "plain": lambda event: [1, {"two": 2}],
        "stream": lambda event: {"body": chunks(), "headers": {"content-type": "text/plain"}},
        "odd": lambda event: {"status": 9999},
        "split": lambda event: {"headers": {"X-A": "1\r\nX-B: 2"}, "body": ""},
        "steal": lambda event: {
            "headers": [["Set-Cookie", "access_token=x; Path=/"], ["Set-Cookie", "mine=1"]],
            "body": "",
        },
        "nested": {"deep": {"hello": lambda event: {"body": "deep"}}, "index": lambda event: {"body": "dir"}},
        "default": lambda event: {"status": 418, "body": event["function_path"]},
    }


def fastapi_app(seen: dict[str, Any]) -> FastAPI:  # noqa: C901 (a list of small handlers)
    """An ASGI application."""
    app = FastAPI()

    @app.get("/")
    async def front(request: Request) -> dict[str, Any]:
        headers = dict(request.headers)
        return {"root": request.scope["root_path"], "query": str(request.query_params), "headers": headers}

    @app.get("/things/")
    async def things() -> list[str]:
        return ["thing"]

    @app.get("/fail")
    async def fail() -> None:
        raise ValueError("bad thing")

    @app.get("/path/{name:path}")
    async def name_of(request: Request, name: str) -> list[str]:
        return [name, request.scope["raw_path"].decode()]

    @app.post("/size")
    async def size(request: Request) -> dict[str, int]:
        total = parts = largest = 0
        async for part in request.stream():
            seen.setdefault("first_part", len(part))
            total, parts, largest = total + len(part), parts + 1, max(largest, len(part))
        return {"total": total, "parts": parts, "largest": largest}

    @app.get("/download")
    async def download(size: int) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(size):
                yield b"x" * MIB

        return StreamingResponse(parts(), media_type="application/octet-stream")

    @app.get("/slow")
    async def slow() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            try:
                for number in range(1000):
                    seen["made"] = number
                    yield b"%d\n" % number
                    await asyncio.sleep(0.2)
            finally:
                seen["closed"] = True

        return StreamingResponse(parts(), media_type="text/plain")

    @app.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept(subprotocol="chat" if "chat" in socket.scope["subprotocols"] else None)
        try:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    seen["left"] = True
                    return
                if message.get("text") == "end":
                    await socket.close(4001, "enough")
                    return
                if message.get("bytes") is not None:
                    await socket.send_bytes(message["bytes"])
                else:
                    await socket.send_text(f"you said {message['text']}")
        except RuntimeError:
            return

    @app.websocket("/refuse")
    async def refuse(socket: WebSocket) -> None:
        await socket.close(4003)

    return app


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mounts(server: ServerProcess, module_connect: Connect) -> AsyncIterator[Mounts]:
    owner = make_person(server, "mounts")
    client = await module_connect(owner, client_id="apps")
    seen: dict[str, Any] = {"owner": owner, "client": client}
    app = fastapi_app(seen)

    async def serve(args: dict[str, Any]) -> None:
        await app(args["scope"], args["receive"], args["send"])

    async def silent(args: dict[str, Any]) -> None:
        """Answer nothing."""

    async def twice(args: dict[str, Any]) -> None:
        seen["kept_send"] = args["send"]
        await args["send"]({"type": "http.response.start", "status": 200, "headers": []})
        await args["send"]({"type": "http.response.body", "body": b"once"})

    await client.register_service(pages(seen))
    for name, function in {"web": serve, "silent": silent, "twice": twice}.items():
        await client.register_service(
            {"id": name, "type": "asgi", "serve": function, "config": {"visibility": "public"}}
        )
    hidden = functools.partial(app)  # the client library keeps one visibility per function
    await client.register_service(
        {"id": "hidden", "type": "ASGI", "serve": lambda a: hidden(a["scope"], a["receive"], a["send"])}
    )
    await client.register_service({"id": "other", "f": lambda: 1, "config": {"visibility": "public"}})
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        yield Mounts(http, owner.workspace, seen)


@pytest.mark.spec("core-H6", "apps-12.5.3")
async def test_functions_are_chosen_by_path(mounts: Mounts) -> None:
    answer = await mounts.http.get(f"/{mounts.workspace}/apps/pages")
    assert answer.status_code == 307
    assert answer.headers["location"] == mounts.path("pages")
    expected = {
        "": (200, "<h1>front</h1>"),
        "nested/deep/hello": (200, "deep"),
        "nested": (200, "dir"),
        "nested/": (200, "dir"),
        "no/such": (418, "/no/such"),
        "nested/deep": (418, "/nested/deep"),
        "none": (204, ""),
    }
    for path, (status, text) in expected.items():
        answer = await mounts.http.get(mounts.path("pages", path))
        assert (answer.status_code, answer.text) == (status, text), path


@pytest.mark.spec("core-H6", "apps-12.5.3")
async def test_answers_of_functions(mounts: Mounts) -> None:
    assert (await mounts.http.get(mounts.path("pages"))).headers["content-type"] == "text/html"
    answer = await mounts.http.get(mounts.path("pages", "raw"))
    assert (answer.content, answer.headers["x-kind"]) == (b"\x00\xff", "raw")
    answer = await mounts.http.get(mounts.path("pages", "plain"))
    assert answer.json() == [1, {"two": 2}]
    assert (await mounts.http.get(mounts.path("pages", "stream"))).text == "abc"
    answer = await mounts.http.get(mounts.path("pages", "fail"))
    assert (answer.status_code, answer.text) == (500, "Internal Server Error: ValueError: bad thing")
    for path in ("odd", "split"):
        answer = await mounts.http.get(mounts.path("pages", path))
        assert answer.status_code == 400
        assert "x-b" not in answer.headers
    answer = await mounts.http.get(mounts.path("pages", "steal"))
    (line,) = answer.headers.get_list("set-cookie")
    assert re.fullmatch(rf"app-\w+-mine=1; Path={mounts.path('pages').rstrip('/')}; SameSite=Lax", line), line


@pytest.mark.spec("core-H6", "apps-12.5.3", "apps-12.5.4")
async def test_the_event_holds_the_whole_request(mounts: Mounts) -> None:
    url = mounts.path("pages", "keep") + "?a=1&flag&b=%C3%BC"
    answer = await mounts.http.put(url, content=b"\x01body", headers={"X-Mine": "yes"})
    assert answer.text == "kept"
    event = mounts.seen["event"]
    assert (event["method"], event["path"], event["raw_path"]) == ("PUT", "/keep", "/keep")
    assert event["query_string"] == "a=1&flag&b=%C3%BC"
    assert event["headers"]["x-mine"] == "yes"
    assert (event["body"], event["type"]) == (b"\x01body", "http")
    assert event["workspace"] == mounts.workspace
    assert event["service_id"] == "apps:pages"
    assert event["user"]["id"] == "anonymouz-http"
    await mounts.http.get(mounts.path("pages", "keep"))
    assert mounts.seen["event"]["body"] is None


@pytest.mark.spec("core-H6")
async def test_credentials_reach_only_code_of_ones_own(mounts: Mounts, alice: Person) -> None:
    for person, is_shown in ((alice, False), (mounts.seen["owner"], True)):
        cookies = f"access_token=secret; other=1; hypha_local_token=secret; mine={person.token}"
        headers = {"Authorization": f"Bearer {person.token}", "Cookie": cookies, "X-Local-Auth": "secret"}
        await mounts.http.get(mounts.path("pages", "keep"), headers=headers)
        event = mounts.seen["event"]
        assert event["user"]["id"] == person.id
        of_asgi = (await mounts.http.get(mounts.path("web"), headers=headers)).json()["headers"]
        for seen in (event["headers"], of_asgi):
            for name in ("authorization", "x-local-auth"):
                assert (name in seen) is is_shown, (person.id, name)
            assert seen["cookie"] == (cookies if is_shown else "other=1")


@pytest.mark.spec("core-H6", "apps-12.5.5")
async def test_refusals_are_plain_text(mounts: Mounts, alice: Person) -> None:
    owner: Person = mounts.seen["owner"]
    for url, status, text in (
        (mounts.path("missing"), 404, "Service not found"),
        ("/ws-user-nobody-at-all/apps/web/", 404, "not found"),
        (mounts.path("hidden"), 403, "Permission denied"),
        (mounts.path("other"), 500, "Invalid service type: generic"),
        (mounts.path("silent"), 500, "Internal Server Error: RuntimeError"),
        (mounts.path("web", "fail"), 500, "Internal Server Error"),
    ):
        answer = await mounts.http.get(url)
        assert answer.status_code == status, (url, answer.text)
        assert answer.headers["content-type"].startswith("text/plain")
        assert text in answer.text
        assert "Traceback" not in answer.text and "/hypha" not in answer.text
    bad = await mounts.http.get(mounts.path("web"), headers={"Authorization": "Bearer junk"})
    assert bad.status_code == 401
    stranger = {"Authorization": f"Bearer {alice.token}"}
    assert (await mounts.http.get(mounts.path("hidden"), headers=stranger)).status_code == 403
    own = {"Authorization": f"Bearer {owner.token}"}
    assert (await mounts.http.get(mounts.path("hidden"), headers=own)).status_code == 200


@pytest.mark.spec("apps-12.5.3")
async def test_cors_of_mounts(mounts: Mounts) -> None:
    answer = await mounts.http.get(mounts.path("web"), headers={"Origin": "https://page.example"})
    assert answer.headers.get_list("access-control-allow-origin") == ["https://page.example"]
    preflight = {"Origin": "https://page.example", "Access-Control-Request-Method": "PUT"}
    assert (await mounts.http.options(mounts.path("pages"), headers=preflight)).status_code == 200


@pytest.mark.spec("apps-12.5.4")
async def test_an_asgi_application_sees_paths_relative_to_its_mount(mounts: Mounts) -> None:
    body = (await mounts.http.get(mounts.path("web") + "?a=1&flag")).json()
    assert body["root"] == mounts.path("web").rstrip("/")
    assert body["query"] == "a=1&flag="
    answer = await mounts.http.get(mounts.path("web", "path/a%2Fb%20c"))
    assert answer.json() == ["a/b c", "/path/a%2Fb%20c"]
    answer = await mounts.http.get(mounts.path("web", "docs"))
    assert f"{mounts.path('web', 'openapi.json')}" in answer.text
    answer = await mounts.http.get(mounts.path("web", "things"), follow_redirects=True)
    assert answer.json() == ["thing"]
    assert (await mounts.http.head(mounts.path("web", "docs"))).status_code in (200, 405)


async def test_bodies_stream_both_ways(mounts: Mounts) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"a" * 1000
        await eventually(lambda: mounts.seen.get("first_part"))  # read before all is sent
        for _ in range(24):
            yield b"b" * MIB

    answer = await mounts.http.post(mounts.path("web", "size"), content=body())
    seen = answer.json()
    assert seen["total"] == 1000 + 24 * MIB
    assert seen["largest"] < 2 * MIB
    async with mounts.http.stream("GET", mounts.path("web", "download?size=24")) as download:
        assert sum([len(part) async for part in download.aiter_bytes()]) == 24 * MIB


@pytest.mark.spec("apps-12.5.1")
async def test_parts_arrive_as_they_are_made_and_leaving_ends_the_application(mounts: Mounts) -> None:
    mounts.seen.pop("closed", None)
    async with mounts.http.stream("GET", mounts.path("web", "slow")) as answer:
        async for part in answer.aiter_text():
            assert part.startswith("0\n")
            break
        assert mounts.seen["made"] <= 2
    await eventually(lambda: mounts.seen.get("closed"), within_s=8)


@pytest.mark.spec("apps-12.5.7")
async def test_many_requests_at_once_leave_no_client(mounts: Mounts) -> None:
    before = await mounts.seen["client"].list_clients()
    answers = await asyncio.gather(*(mounts.http.get(mounts.path("web", "things/")) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert await mounts.seen["client"].list_clients() == before


async def test_functions_of_a_request_end_with_it_and_belong_to_the_provider(
    mounts: Mounts, connect: Connect, alice: Person
) -> None:
    assert (await mounts.http.get(mounts.path("twice"))).text == "once"
    with pytest.raises(Exception, match=r"is over|not needed any more"):
        await mounts.seen["kept_send"]({"type": "http.response.body", "body": b"more"})


async def test_websockets_of_an_application(mounts: Mounts, server: ServerProcess) -> None:
    url = server.url.replace("http", "ws", 1) + mounts.path("web", "echo")
    async with connect_socket(url, subprotocols=["chat"]) as socket:  # type: ignore[list-item]
        assert socket.subprotocol == "chat"
        await socket.send("hello")
        assert await socket.recv() == "you said hello"
        await socket.send(b"x" * 600_000)
        assert await socket.recv() == b"x" * 600_000
        await socket.send("end")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "enough")  # type: ignore[union-attr]
    async with connect_socket(url):
        pass
    await eventually(lambda: mounts.seen.get("left"), within_s=8)


async def test_refused_websockets(mounts: Mounts, server: ServerProcess) -> None:
    base = server.url.replace("http", "ws", 1)
    for path in (
        mounts.path("web", "refuse"),
        mounts.path("hidden", "echo"),
        mounts.path("missing", "echo"),
        mounts.path("pages", "echo"),
    ):
        with pytest.raises(InvalidStatus):
            async with connect_socket(base + path):
                pass


async def test_an_application_whose_client_leaves_answers_503(
    mounts: Mounts, server: ServerProcess, connect: Connect
) -> None:
    person = make_person(server, "leaver")
    client = await connect(person)
    begun = asyncio.Event()

    async def serve(args: dict[str, Any]) -> None:
        begun.set()
        await asyncio.sleep(30)

    await client.register_service(
        {"id": "web", "type": "asgi", "serve": serve, "config": {"visibility": "public"}}
    )
    asking = asyncio.create_task(mounts.http.get(f"/{person.workspace}/apps/web/"))
    await begun.wait()
    await client.disconnect()
    answer = await asking
    assert answer.status_code in (503, 504), answer.text
