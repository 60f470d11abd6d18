"""Behind proxies that the operator trusts, applications see who visits them and under which address."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from websockets.asyncio.client import connect as connect_socket

from hypha.testing import ServerProcess
from tests.kit.clients import Connect
from tests.kit.people import make_person

pytestmark = pytest.mark.timeout(90)

FORWARDED = {
    "X-Forwarded-For": "6.6.6.6, 1.2.3.4:5678",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "hub.example",
}


class Lab:
    """A server below `/engine` that trusts its proxies or not, with applications in it."""

    def __init__(self, http: httpx.AsyncClient, workspace: str, server: ServerProcess) -> None:
        self.http, self.server = http, server
        self.mount = f"/engine/{workspace}/apps"


async def plain(args: dict[str, Any]) -> None:
    """An application by hand: it answers with its scope."""
    scope, send = args["scope"], args["send"]
    names = ("type", "scheme", "client", "server", "root_path", "path")
    told = {name: scope[name] for name in names}
    told["headers"] = [[name.decode(), value.decode()] for name, value in scope["headers"]]
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": json.dumps(told)})
        await send({"type": "websocket.close"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})


def framework() -> FastAPI:
    app = FastAPI()

    @app.get("/where")
    async def where(request: Request) -> dict[str, Any]:
        return {
            "base": str(request.base_url),
            "link": str(request.url_for("things")),
            "scheme": request.url.scheme,
            "host": request.url.netloc,
            "client": request.client.host if request.client else None,
        }

    @app.get("/things/")
    async def things() -> JSONResponse:
        answer = JSONResponse([])
        answer.set_cookie("sid", "1")
        return answer

    return app


async def serve(connect: Connect, server: ServerProcess) -> str:
    """Serve the applications; gives their workspace."""
    person = make_person(server, "proxied")
    client = await connect(person, url=server.url, client_id="apps")
    app = framework()

    async def by_framework(args: dict[str, Any]) -> None:
        await app(args["scope"], args["receive"], args["send"])

    def page(event: dict[str, Any]) -> Any:
        return [{name: event[name] for name in ("scheme", "client", "server", "root_path", "headers")}]

    config = {"visibility": "public"}
    for name, function in {"plain": plain, "web": by_framework}.items():
        await client.register_service({"id": name, "type": "asgi", "config": config, "serve": function})
    await client.register_service({"id": "pages", "type": "functions", "config": config, "index": page})
    return person.workspace


@pytest_asyncio.fixture(
    scope="module", loop_scope="session", params=["--trusted-proxies=127.0.0.0/8,10.0.0.0/8"]
)
async def lab(request: pytest.FixtureRequest, module_connect: Connect) -> AsyncIterator[Lab]:
    async with ServerProcess(flags=[request.param], base_path="/engine") as server:
        workspace = await serve(module_connect, server)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
            yield Lab(http, workspace, server)


async def test_an_application_sees_its_visitor_and_its_address(lab: Lab) -> None:
    for service in ("plain", "pages"):
        answer = (await lab.http.get(f"{lab.mount}/{service}/", headers=FORWARDED)).json()
        told = answer[0] if service == "pages" else answer
        assert (told["scheme"], told["client"]) == ("https", ["1.2.3.4", 5678])
        assert told["server"] == ["hub.example", 443]
        assert told["root_path"] == f"{lab.mount}/{service}"
        headers = dict(told["headers"])
        assert headers["host"] == "hub.example"
        assert not [name for name in headers if "forwarded" in name]


async def test_a_websocket_of_an_application_sees_the_same(lab: Lab) -> None:
    url = f"ws://127.0.0.1:{lab.server.port}{lab.mount}/plain/socket"
    async with connect_socket(url, additional_headers=FORWARDED) as socket:
        told = json.loads(await socket.recv())
    assert (told["scheme"], told["client"], told["server"]) == (
        "wss",
        ["1.2.3.4", 5678],
        ["hub.example", 443],
    )
    assert (told["root_path"], told["path"]) == (f"{lab.mount}/plain", "/socket")


async def test_links_and_redirects_lead_where_the_visitor_came_from(lab: Lab) -> None:
    for prefix in ("", "/outside"):
        headers = {**FORWARDED, **({"X-Forwarded-Prefix": prefix} if prefix else {})}
        told = (await lab.http.get(f"{lab.mount}/web/where", headers=headers)).json()
        front = f"https://hub.example{prefix}{lab.mount}/web/"
        assert told == {
            "base": front,
            "link": f"{front}things/",
            "scheme": "https",
            "host": "hub.example",
            "client": "1.2.3.4",
        }
        answer = await lab.http.get(f"{lab.mount}/web/things?a=1", headers=headers)
        assert (answer.status_code, answer.headers["location"]) == (307, f"{front}things/?a=1")
        answer = await lab.http.get(f"{lab.mount}/web", headers=headers)
        assert answer.headers["location"] == f"{prefix}{lab.mount}/web/"
        answer = await lab.http.get(f"{lab.mount}/web/things/", headers=headers)
        assert f"; Path={prefix}{lab.mount}/web/;" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ([("X-Forwarded-For", "[2001:db8::1]:443")], ["2001:db8::1", 443]),
        ([("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "1.2.3.4, 10.0.0.2")], ["1.2.3.4", 0]),
        ([("X-Forwarded-For", "junk, 10.0.0.2")], ["10.0.0.2", 0]),
        ([("Forwarded", 'for="[2001:db8::1]:4711";proto=https;host=hub.example')], ["2001:db8::1", 4711]),
        ([("Forwarded", "for=6.6.6.6"), ("X-Forwarded-For", "1.2.3.4")], ["1.2.3.4", 0]),
    ],
)
async def test_every_form_of_an_address_is_understood(
    lab: Lab, forwarded: list[tuple[str, str]], client: list[Any]
) -> None:
    told = (await lab.http.get(f"{lab.mount}/plain/", headers=forwarded)).json()
    assert told["client"] == client


async def test_without_trust_nothing_is_believed(module_connect: Connect) -> None:
    async with ServerProcess(base_path="/engine") as server:
        workspace = await serve(module_connect, server)
        headers = {**FORWARDED, "X-Forwarded-Prefix": "/outside", "Forwarded": "for=1.2.3.4;proto=https"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
            told = (await http.get(f"/engine/{workspace}/apps/plain/", headers=headers)).json()
        assert (told["scheme"], told["client"][0]) == ("http", "127.0.0.1")
        assert told["server"] == ["127.0.0.1", server.port]
        assert told["root_path"] == f"/engine/{workspace}/apps/plain"
        assert not [name for name, _ in told["headers"] if "forwarded" in name]


async def test_blocks_and_limits_hold_for_the_visitor_of_a_proxy(module_connect: Connect) -> None:
    limits = {"HYPHA_HTTP_RATE_LIMIT": "0.01", "HYPHA_HTTP_BURST_LIMIT": "2"}
    async with ServerProcess(flags=["--trusted-proxies=127.0.0.1"], env=limits) as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            statuses = []
            for address in ("1.2.3.4:1", "1.2.3.4:2", "1.2.3.4:3", "[2001:db8::1]:1", "5.6.7.8"):
                answer = await http.get("/public/services/", headers={"X-Forwarded-For": address})
                statuses.append(answer.status_code)
    assert statuses == [200, 200, 429, 200, 200]
