"""The starter templates, installed and used on real workers."""

from __future__ import annotations

import os
import shutil
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess
from hypha.workers.browser.chromium import NAMES, has_playwright
from tests.kit.clients import Connect, shared_server
from tests.kit.people import make_person

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        not has_playwright() or not any(map(shutil.which, NAMES)),
        reason="Chromium or playwright is not installed",
    ),
]

worker_server = shared_server(
    flags=["--enable-server-apps", "--startup-functions=hypha.workers.python_eval:hypha_startup"],
    env={key: os.environ[key] for key in ("HYPHA_CHROMIUM_PATH",) if key in os.environ},
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(module_connect: Connect, worker_server: ServerProcess) -> Any:
    return await module_connect(
        make_person(worker_server, "starter"), url=worker_server.url, method_timeout=90
    )


async def use(client: Any, server: ServerProcess, name: str) -> tuple[Any, Any]:
    """Install a template, and find its service; gives that and the controller."""
    async with httpx.AsyncClient(base_url=server.url) as http:
        source = (await http.get(f"/ws/{name}_template.hypha.html")).text
    apps = await client.get_service("public/server-apps")
    await apps.install(source=source, app_id=name)
    return await client.get_service(f"default@{name}"), apps


async def test_code(client: Any, worker_server: ServerProcess) -> None:
    service, _ = await use(client, worker_server, "code")
    assert await service.hello("you") == "Hello you!"


async def test_javascript_app(client: Any, worker_server: ServerProcess) -> None:
    service, _ = await use(client, worker_server, "javascript_app")
    assert await service.add("<b>one</b>") == 1
    assert await service.all() == ["<b>one</b>"]


async def test_javascript_advanced(client: Any, worker_server: ServerProcess) -> None:
    service, _ = await use(client, worker_server, "javascript_advanced")
    assert await service.circle() == 3
    assert (await service.picture())[:4] == b"\x89PNG"
    info = await client.get_service("info@javascript_advanced")
    assert await info.app() == "javascript_advanced"
    assert await info.workspace() == client.config.workspace


async def test_python_app(client: Any, worker_server: ServerProcess) -> None:
    service, _ = await use(client, worker_server, "python_app")
    assert await service.add(1, 2) == 3


async def test_webcontainer_keeps_its_projects_apart_from_itself(
    client: Any, worker_server: ServerProcess
) -> None:
    service, apps = await use(client, worker_server, "webcontainer")
    script = "let seen = 'nothing'; try { seen = parent.api; } catch {} console.log('saw', seen);"
    await service.run("<p>Hi</p>", script)
    [session] = [each for each in await apps.list_running() if each["app_id"] == "webcontainer"]
    wait = "new Promise((done) => addEventListener('message', () => setTimeout(done)))"
    if not await service.output():
        await apps.execute(session["id"], f"Promise.race([{wait}, new Promise((r) => setTimeout(r, 5000))])")
    assert await service.output() == ["saw nothing"]
