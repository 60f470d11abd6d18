"""Applications of clients are apart in a browser: cookies, and the session of whoever opens a page."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse

from hypha.testing import ServerProcess
from tests.e2e.chromium import Page
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person, make_person

pytestmark = pytest.mark.timeout(90)


def application() -> FastAPI:
    """A shop: it counts a visitor's visits in a cookie."""
    app = FastAPI()

    @app.get("/", response_class=HTMLResponse)
    async def front() -> str:
        return "<title>shop</title><h1>Shop</h1>"

    @app.get("/visit")
    async def visit(request: Request) -> JSONResponse:
        visits = int(request.cookies.get("visits", 0)) + 1
        answer = JSONResponse({"visits": visits, "header": request.headers.get("x-mine")})
        answer.set_cookie("visits", str(visits), domain="127.0.0.1", httponly=True)
        answer.set_cookie("deep", "1", path="/deep")
        answer.set_cookie("hypha_local_token", "mallory")
        return answer

    return app


class Shop:
    """Where the application is served, and by whom."""

    def __init__(self, owner: Person, url: str) -> None:
        self.owner, self.url = owner, url


async def serve_shop(connect: Connect, owner: Person, url: str) -> Shop:
    client = await connect(owner, client_id="shop", url=url)
    app = application()

    async def serve(args: dict[str, Any]) -> None:
        await app(args["scope"], args["receive"], args["send"])

    config = {"visibility": "public"}
    await client.register_service({"id": "shop", "type": "asgi", "config": config, "serve": serve})
    return Shop(owner, f"{url}/{owner.workspace}/apps/shop/")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(server: ServerProcess, module_connect: Connect) -> Shop:
    return await serve_shop(module_connect, make_person(server, "seller"), server.url)


async def test_an_application_keeps_its_visitors_apart_by_cookies(shop: Shop, alice: Person) -> None:
    for headers in ({}, {"Authorization": f"Bearer {alice.token}"}):
        async with httpx.AsyncClient(headers=headers) as http:
            visits = [(await http.get(shop.url + "visit")).json()["visits"] for _ in range(3)]
            assert visits == [1, 2, 3]


async def test_cookies_stay_at_their_application(shop: Shop) -> None:
    root = httpx.URL(shop.url).path.rstrip("/")
    async with httpx.AsyncClient() as http:
        answer = await http.get(shop.url + "visit")
        lines = answer.headers.get_list("set-cookie")
        assert [line.split("=")[0].rpartition("-")[2] for line in lines] == ["visits", "deep"]
        assert [cookie.path for cookie in http.cookies.jar] == [f"{root}/", f"{root}/deep"]
        assert not any("domain" in line.lower() for line in lines)


async def test_pages_of_others_are_put_in_a_sandbox(
    shop: Shop, alice: Person, connect: Connect, start_server: StartServer
) -> None:
    async with httpx.AsyncClient() as http:
        for person, is_sandboxed in ((None, True), (alice, True), (shop.owner, False)):
            headers = {"Authorization": f"Bearer {person.token}"} if person else {}
            policy = (await http.get(shop.url, headers=headers)).headers.get("content-security-policy", "")
            assert policy.startswith("sandbox ") is is_sandboxed
            assert "allow-same-origin" not in policy
        trusting = await start_server(flags=["--trust-apps"])
        trusted = await serve_shop(connect, make_person(trusting, "seller"), trusting.url)
        assert "content-security-policy" not in (await http.get(trusted.url)).headers


@pytest.mark.browser
async def test_a_page_of_another_cannot_use_the_visitors_session(
    page: Page, server: ServerProcess, shop: Shop, alice: Person
) -> None:
    who = 'return ((await (await fetch("/assets/config.json")).json()).user || {}).id || null;'
    await page.open(f"{server.url}/public/apps/hypha-login/")
    await page.run(
        """
        const headers = {"content-type": "application/json", authorization: `Bearer ${args.token}`};
        await fetch("/public/apps/hypha-login/session", {method: "POST", headers, body: "{}"});
        """,
        token=alice.token,
    )
    assert await page.run(who) == alice.id
    await page.open(shop.url)
    assert await page.run("return document.title;") == "shop"
    assert await page.run(who) is None
    attempt = """
      const options = {method: "POST", headers: {"content-type": "application/json"}, body: args.body};
      const answer = await fetch(args.path, {...options, credentials: "include"}).catch(() => null);
      return answer && answer.ok;
    """
    started = await httpx.AsyncClient().post(f"{server.url}/public/services/hypha-login/start", json={})
    body = json.dumps({"key": started.json()["key"]})
    approve = {"path": "/public/apps/hypha-login/approve", "body": body}
    assert not await page.run(attempt, **approve)
    assert not await page.run(
        attempt, path=f"/{alice.workspace}/services/ws/set_env", body='{"key": "a", "value": "b"}'
    )
    await page.open(f"{server.url}/{alice.workspace}/")
    assert await page.run(who) == alice.id
    assert await page.run(attempt, **approve)  # the refusals above were not for another reason


@pytest.mark.browser
async def test_a_page_in_the_sandbox_can_call_its_own_application(page: Page, shop: Shop) -> None:
    await page.open(shop.url)
    answer = await page.run('return await (await fetch("visit", {headers: {"x-mine": "yes"}})).json();')
    assert answer == {"visits": 1, "header": "yes"}
