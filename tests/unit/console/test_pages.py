"""Pages and their files."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from hypha.console.routes import CLIENT_BUILDS, STATIC_FOLDER, Console
from hypha.gateways.http import HttpApplication
from tests.unit.gateways.http.fakes import FakeServer, services_of


def pages(**fields: str) -> httpx.AsyncClient:
    services = services_of(FakeServer(), **fields)
    console = Console(services)
    app = HttpApplication(services, first=console.first(), last=console.last())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.test")


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with pages(public_base_url="https://hub.example") as client:
        yield client


async def test_the_landing_page_shows_the_servers_own_address(http: httpx.AsyncClient) -> None:
    answer = await http.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert "https://hub.example" in answer.text
    assert "__BASE" not in answer.text


@pytest.mark.parametrize("page", ["/", "/api-docs", "/api-redoc", "/ws-user-anna/", "/public/"])
async def test_pages_load_nothing_from_elsewhere(http: httpx.AsyncClient, page: str) -> None:
    text = (await http.get(page)).text
    sources = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="([^"]+)"', text)
    assert sources
    for source in sources:
        answer = await http.get(source)
        assert source.startswith("/"), source
        assert answer.status_code == 200, source


def test_own_files_name_no_other_host() -> None:
    for path in STATIC_FOLDER.rglob("*.*"):
        if path.suffix in {".css", ".html", ".js"} and path.name not in CLIENT_BUILDS:
            assert "https://" not in path.read_text("utf-8"), path.name


async def test_the_javascript_client_is_served(http: httpx.AsyncClient) -> None:
    for name in ("hypha-rpc-websocket.js", "hypha-rpc-websocket.mjs"):
        answer = await http.get(f"/assets/{name}")
        assert answer.headers["content-type"].startswith("application/javascript")
        assert "connectToServer" in answer.text
    licences = (await http.get("/static/LICENSES.txt")).text
    assert licences.count("MIT License") == 2 and "code-editor.js" in licences


async def test_a_workspace_is_reached_without_its_slash(http: httpx.AsyncClient) -> None:
    answer = await http.get("/ws-user-anna")
    assert (answer.status_code, answer.headers["location"]) == (307, "/ws-user-anna/")


async def test_other_names_are_not_found(http: httpx.AsyncClient) -> None:
    for path in ("/config", "/config/", "/static/nope.js", "/assets/nope.js"):
        answer = await http.get(path)
        assert answer.status_code == 404
        assert answer.json()["detail"] == f"File not found: {path[1:]}"


async def test_everything_works_below_a_base_path() -> None:
    async with pages(base_path="/my/engine") as http:
        text = (await http.get("/my/engine/")).text
        sources = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="([^"]+)"', text)
        assert sources
        assert {(await http.get(source)).status_code for source in sources} == {200}
        assert (await http.get("/my/engine/ws-a")).headers["location"] == "/my/engine/ws-a/"


async def test_only_a_worker_of_the_workspace_page_may_evaluate_text(http: httpx.AsyncClient) -> None:
    page = await http.get("/ws-user-anna/")
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy and "unsafe" not in policy
    assert "onclick=" not in page.text and "style=" not in page.text
    worker = await http.get("/assets/workspace-live.js")
    assert "'unsafe-eval'" in worker.headers["content-security-policy"]
    assert worker.headers["content-type"].startswith("application/javascript")


def test_the_parts_of_the_workspace_page_stay_small() -> None:
    parts = list((STATIC_FOLDER / "workspace").glob("*.js"))
    assert len(parts) > 10
    assert max(len(path.read_text("utf-8").splitlines()) for path in parts) < 200
