"""Pages of other origins and the cookies of an application: only who is named uses them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from websockets.asyncio.client import connect as connect_socket

from hypha.testing import ServerProcess
from tests.e2e.chromium import Page
from tests.kit.clients import Connect, StartServer
from tests.kit.people import make_person

pytestmark = pytest.mark.timeout(90)

STRANGER = "https://page.example"
CREDENTIALS = "access-control-allow-credentials"
READ = """
  const options = {method: args.method, credentials: "include", headers: args.headers};
  const answer = await fetch(args.url, options).catch(() => null);
  return answer && await answer.json();
"""


def application(named: list[str]) -> FastAPI:
    """An application that knows its visitor by a cookie; it names origins if it is given any."""
    app = FastAPI()
    if named:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=named,
            allow_credentials=True,
            allow_methods=["PUT"],
            allow_headers=["x-a"],
        )

    @app.api_route("/", methods=["GET", "PUT"])
    async def front(request: Request) -> dict[str, str]:
        return request.cookies

    @app.get("/enter")
    async def enter() -> JSONResponse:
        answer = JSONResponse({})
        answer.set_cookie("sid", "anna")
        return answer

    @app.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_json(dict(socket.cookies))
        await socket.close()

    return app


async def serve(connect: Connect, server: ServerProcess, name: str, named: list[str]) -> str:
    """Serve the application; gives its address."""
    person = make_person(server, "shop")
    client = await connect(person, url=server.url, client_id=name)
    app = application(named)

    async def answer(args: dict[str, Any]) -> None:
        await app(args["scope"], args["receive"], args["send"])

    config = {"visibility": "public"}
    await client.register_service({"id": name, "type": "asgi", "config": config, "serve": answer})
    return f"{server.url}/{person.workspace}/apps/{name}/"


async def test_no_origin_reads_an_application_with_its_cookies_by_default(
    server: ServerProcess, connect: Connect
) -> None:
    url = await serve(connect, server, "shop", [])
    async with httpx.AsyncClient(headers={"Origin": STRANGER}) as http:
        await http.get(url + "enter")
        answer = await http.get(url)
        assert answer.json() == {"sid": "anna"}
        asking = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-a"}
        preflight = await http.options(url, headers=asking)
        for got in (answer, preflight):
            assert (got.status_code, got.headers["access-control-allow-origin"]) == (200, STRANGER)
            assert CREDENTIALS not in got.headers


async def test_an_application_names_the_origins_that_use_its_cookies(
    server: ServerProcess, connect: Connect
) -> None:
    url = await serve(connect, server, "naming", ["https://lab.example"])
    async with httpx.AsyncClient() as http:
        for origin, is_named in (("https://lab.example", True), (STRANGER, False), ("null", False)):
            asking = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
            answer = await http.get(url, headers={"Origin": origin})
            preflight = await http.options(url, headers=asking)
            for got in (answer, preflight):
                assert got.status_code == 200
                assert got.headers.get_list("access-control-allow-origin") == [origin]
                assert (got.headers.get(CREDENTIALS) == "true") is is_named
            assert (preflight.headers["access-control-allow-methods"] == "PUT") is is_named


async def test_a_question_of_a_browser_calls_no_function(server: ServerProcess, connect: Connect) -> None:
    seen: list[Any] = []
    person = make_person(server, "asked")
    client = await connect(person)
    pages = {"id": "pages", "type": "functions", "config": {"visibility": "public"}}
    await client.register_service({**pages, "index": seen.append, "default": seen.append})
    asking = {"Origin": STRANGER, "Access-Control-Request-Method": "PUT"}
    async with httpx.AsyncClient(base_url=server.url) as http:
        answer = await http.options(f"/{person.workspace}/apps/pages/", headers=asking)
    assert (answer.status_code, seen) == (200, [])
    assert CREDENTIALS not in answer.headers


async def test_a_websocket_from_another_origin_brings_no_cookies(
    start_server: StartServer, connect: Connect
) -> None:
    own = await start_server(flags=["--allow-origins", "*,https://lab.example"])
    url = await serve(connect, own, "shop", [])
    async with httpx.AsyncClient() as http:
        await http.get(url + "enter")
        cookie = "; ".join(f"{known.name}={known.value}" for known in http.cookies.jar)
    address = url.replace("http", "ws", 1) + "socket"
    for origin, is_known in (
        (own.url, True),
        ("https://lab.example", True),
        (None, True),
        (STRANGER, False),
        ("null", False),
    ):
        headers = {"Cookie": cookie, **({"Origin": origin} if origin else {})}
        async with connect_socket(address, additional_headers=headers) as socket:
            assert (await socket.recv() == '{"sid":"anna"}') is is_known, origin


@pytest.mark.browser
async def test_in_a_browser_only_named_origins_use_the_cookies_of_an_application(
    page: Page, server: ServerProcess, start_server: StartServer, connect: Connect
) -> None:
    # the same host, so that browsers send the cookies; the other port makes it another origin
    other = await start_server()
    naming = await start_server(flags=["--allow-origins", other.url])
    silent, by_app, by_operator = (
        await serve(connect, server, "silent", []),
        await serve(connect, server, "naming", [other.url]),
        await serve(connect, naming, "silent", []),
    )
    for url in (silent, by_app, by_operator):
        await page.open(url + "enter")
    for url, expected in ((silent, None), (by_app, {"sid": "anna"}), (by_operator, {"sid": "anna"})):
        await page.open(f"{other.url}/health/readiness")
        for method, headers in (("GET", {}), ("PUT", {"x-a": "1"})):
            if url is by_operator and headers:
                continue  # the operator's list of headers knows no x-a
            assert await page.run(READ, url=url, method=method, headers=headers) == expected, (url, method)
