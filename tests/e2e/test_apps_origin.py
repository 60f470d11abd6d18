"""With `--apps-origin` applications of clients are on a host of their own, and nothing else is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, Request, WebSocket
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import InvalidHandshake

from hypha.testing import ServerFailed, ServerProcess, free_port
from tests.e2e.chromium import Page
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person, make_person

pytestmark = pytest.mark.timeout(120)

STARTUP = """
async def start(server):
    await server.register_service(
        {"id": "of-the-operator", "type": "functions", "config": {"visibility": "public"},
         "index": lambda event: {"body": "operator"}}
    )
"""


class Lab:
    """One server under two names: pages at 127.0.0.1, applications at localhost."""

    def __init__(self, server: ServerProcess, owner: Person, seen: dict[str, Any]) -> None:
        self.server, self.owner, self.seen = server, owner, seen
        self.main = server.url
        self.apps = f"http://localhost:{server.port}"
        self.path = f"/{owner.workspace}/apps/web"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(tmp_path_factory: pytest.TempPathFactory, module_connect: Connect) -> AsyncIterator[Lab]:
    startup: Path = tmp_path_factory.mktemp("startup") / "own.py"
    await asyncio.to_thread(startup.write_text, STARTUP)
    port, seen = free_port(), dict[str, Any]()
    flags = [f"--apps-origin=http://localhost:{port}", f"--startup-functions={startup}:start"]
    async with ServerProcess(port=port, flags=flags) as server:
        owner = make_person(server, "owner")
        client = await module_connect(owner, url=server.url, client_id="apps")
        app = FastAPI()

        @app.api_route("/{path:path}", methods=["GET", "POST"])
        async def front(request: Request, path: str) -> Any:
            seen["headers"] = dict(request.headers)
            return {"path": path, "query": str(request.query_params), "body": (await request.body()).decode()}

        @app.websocket("/socket")
        async def socket(socket: WebSocket) -> None:
            await socket.accept()
            await socket.send_text("there")
            await socket.close()

        async def serve(args: dict[str, Any]) -> None:
            await app(args["scope"], args["receive"], args["send"])

        config = {"visibility": "public"}
        await client.register_service({"id": "web", "type": "asgi", "config": config, "serve": serve})
        await client.register_service({"id": "hidden", "type": "asgi", "serve": lambda args: serve(args)})
        await client.register_service({"id": "adder", "config": config, "add": lambda a, b: a + b})
        yield Lab(server, owner, seen)


async def test_an_application_is_served_at_its_origin_alone(lab: Lab) -> None:
    path = f"{lab.path}/a%2Fb%20c/?x=1&y=%2F"
    async with httpx.AsyncClient() as http:
        for method in ("GET", "POST", "HEAD"):
            answer = await http.request(method, lab.main + path)
            assert (answer.status_code, answer.headers["location"]) == (307, lab.apps + path)
            assert "set-cookie" not in answer.headers
        answer = await http.post(lab.main + path, content=b"body", follow_redirects=True)
        assert str(answer.url) == lab.apps + path
        assert answer.json() == {"path": "a/b c/", "query": "x=1&y=%2F", "body": "body"}
        answer = await http.get(lab.main + lab.path, follow_redirects=True)
        assert str(answer.url) == f"{lab.apps}{lab.path}/"


async def test_a_websocket_of_an_application_is_opened_at_its_origin_alone(lab: Lab) -> None:
    async with connect_socket(f"{lab.apps}{lab.path}/socket".replace("http", "ws", 1)) as socket:
        assert await socket.recv() == "there"
    with pytest.raises(InvalidHandshake):
        async with connect_socket(f"{lab.main}{lab.path}/socket".replace("http", "ws", 1)):
            pass


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    ["/", "/login", "/public/apps/hypha-login/", "/public/apps/of-the-operator/", "/public/apps/hypha-login",
     "/WORKSPACE/", "/WORKSPACE", "/WORKSPACE/services/", "/WORKSPACE/services/apps:adder/add?a=1&b=2",
     "/WORKSPACE/services/ws/check_status", "/public/services/hypha-login/start", "/WORKSPACE/info",
     "/assets/config.json", "/assets/hypha-rpc-websocket.js", "/static/shared.js", "/health",
     "/health/readiness", "/metrics", "/openapi.json",
     "/api-docs", "/rpc?workspace=WORKSPACE&client_id=x", "/favicon.ico", "/WORKSPACE/apps"],
)  # fmt: skip
async def test_nothing_else_is_served_there(lab: Lab, path: str, method: str) -> None:
    path = path.replace("WORKSPACE", lab.owner.workspace)
    headers = {"Authorization": f"Bearer {lab.owner.token}"}
    async with httpx.AsyncClient(base_url=lab.apps, headers=headers) as http:
        answer = await http.request(method, path)
        while answer.is_redirect:
            answer = await http.request(method, answer.headers["location"])
            assert answer.url.host == "localhost"
    assert answer.status_code == 404, answer.text
    assert "set-cookie" not in answer.headers


async def test_pages_of_artifacts_are_there_and_nothing_else_of_artifacts_is(
    lab: Lab, connect: Connect
) -> None:
    client = await connect(lab.owner, url=lab.main)
    artifacts = await client.get_service("public/artifact-manager")
    config = {"permissions": {"*": "r"}}
    await artifacts.create(alias="site", manifest={"name": "Site"}, config=config)
    path = f"/{lab.owner.workspace}/view/site/?version=v0"
    async with httpx.AsyncClient() as http:
        led = await http.get(lab.main + path)
        assert (led.status_code, led.headers["location"]) == (307, lab.apps + path)
        page = await http.get(lab.apps + path)
        assert page.status_code == 200 and "<h1>Site</h1>" in page.text
        assert (await http.get(f"{lab.apps}/{lab.owner.workspace}/artifacts/site")).status_code == 404


async def test_the_hub_is_not_there(lab: Lab, connect: Connect) -> None:
    with pytest.raises(InvalidHandshake):
        async with connect_socket(f"{lab.apps}/ws".replace("http", "ws", 1)):
            pass
    client = await connect(lab.owner, url=lab.main)
    assert await client.echo("here") == "here"


async def test_the_servers_own_applications_stay_with_its_pages(lab: Lab) -> None:
    async with httpx.AsyncClient(base_url=lab.main) as http:
        assert (await http.get("/public/apps/of-the-operator/")).text == "operator"
        assert (await http.get("/public/apps/hypha-login/")).status_code == 200
        assert (await http.get(f"/{lab.owner.workspace}/services/apps:adder/add?a=1&b=2")).text == "3"


async def test_a_session_never_counts_at_the_origin_of_applications(lab: Lab) -> None:
    cookies = {"Cookie": f"access_token={lab.owner.token}; hypha_local_token={lab.owner.token}"}
    scripts = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    hidden = f"/{lab.owner.workspace}/apps/hidden/"
    async with httpx.AsyncClient(base_url=lab.apps) as http:
        for headers in (cookies, {**cookies, **scripts}):
            assert (await http.get(hidden, headers=headers)).status_code == 403
            assert (await http.get(f"{lab.path}/", headers=headers)).status_code == 200
            assert "cookie" not in lab.seen["headers"]
        bearer = {"Authorization": f"Bearer {lab.owner.token}"}
        assert (await http.get(hidden, headers=bearer)).status_code == 200


@pytest.mark.parametrize(
    "origin", ["apps.example", "https://apps.example/path", "http://127.0.0.1:80", "https://a b"]
)
async def test_an_origin_that_keeps_nothing_apart_is_refused_at_start(
    start_server: StartServer, origin: str
) -> None:
    with pytest.raises(ServerFailed, match="hypha: --apps-origin"):
        await start_server(flags=["--apps-origin", origin])


@pytest.mark.browser
async def test_in_a_browser_pages_of_applications_are_without_the_session(page: Page, lab: Lab) -> None:
    await page.open(f"{lab.main}/public/apps/hypha-login/")
    await page.run(
        """
        const headers = {"content-type": "application/json", authorization: `Bearer ${args.token}`};
        await fetch("/public/apps/hypha-login/session", {method: "POST", headers, body: "{}"});
        """,
        token=lab.owner.token,
    )
    cookies = (await page.command("Network.getAllCookies"))["cookies"]
    assert {(cookie["name"], cookie["domain"]) for cookie in cookies} == {("access_token", "127.0.0.1")}
    await page.command("Page.navigate", url=f"{lab.main}{lab.path}/")
    await page.open(f"{lab.apps}{lab.path}/")
    assert "cookie" not in lab.seen["headers"]
    who = """
      const answer = await fetch(args.url, {credentials: "include"}).catch(() => null);
      return answer && ((await answer.json()).user || {}).id || null;
    """
    assert await page.run(who, url=f"{lab.main}/assets/config.json") is None
    assert await page.run(who, url="/assets/config.json") is None
    await page.open(f"{lab.main}/{lab.owner.workspace}/")
    assert await page.run(who, url="/assets/config.json") == lab.owner.id
