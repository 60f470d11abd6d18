"""Apps in Python inside real pages, with nothing but what the server has: Pyodide, wheels, its own client."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess
from hypha.workers.browser.chromium import NAMES, has_playwright
from tests.e2e.apps_lab import controller
from tests.kit.clients import Connect
from tests.kit.people import make_person
from tests.kit.pyodide import NPM_PACKAGE, pyodide_folder

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not has_playwright() or not any(map(shutil.which, NAMES)) or not NPM_PACKAGE.is_dir(),
        reason="Chromium, playwright or the npm packages are not installed",
    ),
]
PLUGIN = """
<config lang="json">
{"name": "Adder", "type": "web-python", "version": "0.1.0", "requirements": ["typing-inspection"],
 "required_artifact_files": ["data/numbers.txt"], "startup_config": {"timeout": 200}}
</config>
<file name="data/numbers.txt">1 2 3</file>
<script lang="python">
import os
import sys
from pathlib import Path

from hypha_rpc import api
import typing_inspection

print("python", sys.platform)

class Adder:
    async def setup(self):
        self.numbers = [int(each) for each in Path("data/numbers.txt").read_text().split()]

    def add(self, a, b):
        return a + b

    def facts(self):
        return [os.environ["HYPHA_APP_ID"], os.environ["HYPHA_WORKSPACE"], self.numbers, api.config.workspace]

api.export(Adder())
</script>
"""
ASGI = """
from hypha_rpc import api

async def serve(args):
    send, path = args["send"], args["scope"]["path"]
    headers = [[b"content-type", b"text/plain"]]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello from " + path.encode()})

await api.register_service({"id": "web", "type": "asgi", "config": {"visibility": "public"}, "serve": serve})
await api.export({"ready": lambda: True})
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def python_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    folder: Path = await asyncio.to_thread(pyodide_folder, tmp_path_factory.mktemp("python") / "pyodide")
    env = {key: os.environ[key] for key in ("HYPHA_CHROMIUM_PATH",) if key in os.environ}
    own = ServerProcess(flags=["--enable-server-apps", "--pyodide-dir", str(folder)], env=env)
    async with own:
        yield own


@pytest.mark.spec("apps-12.2.1", "apps-12.4.3")
async def test_a_python_plugin_serves_with_what_the_server_has(
    connect: Connect, python_server: ServerProcess
) -> None:
    ann = make_person(python_server, "ann")
    apps = await controller(connect, python_server, ann)
    await apps.install(source=PLUGIN, app_id="adder", timeout=200)
    session = await apps.start("adder", timeout=200)
    client = await connect(ann, url=python_server.url, method_timeout=60)
    service = await client.get_service("default@adder")
    assert await service.add(1, 2) == 3
    assert await service.facts() == ["adder", ann.workspace, [1, 2, 3], ann.workspace]
    logs = await apps.get_logs(session["id"], type="console")
    assert "[log] python emscripten" in [item["content"] for item in logs["items"]]


@pytest.mark.spec("apps-12.2.1")
async def test_an_asgi_application_in_a_page_answers_http(
    connect: Connect, python_server: ServerProcess
) -> None:
    bob = make_person(python_server, "bob")
    apps = await controller(connect, python_server, bob)
    manifest = {"name": "Web", "type": "web-python", "version": "0.1.0"}
    await apps.install(source=ASGI, manifest=manifest, app_id="web", timeout=200)
    await apps.start("web", timeout=200)
    async with httpx.AsyncClient(timeout=60) as http:
        answer = await http.get(f"{python_server.url}/{bob.workspace}/apps/web/greeting")
    assert (answer.status_code, answer.text) == (200, "hello from /greeting")


async def test_a_requirement_without_a_wheel_and_a_script_that_fails_are_told(
    connect: Connect, python_server: ServerProcess
) -> None:
    apps = await controller(connect, python_server, make_person(python_server, "cyd"))
    manifest = {"name": "Bad", "type": "web-python", "version": "0.1.0"}
    with pytest.raises(Exception, match="The requirement scipy cannot be installed: the server has no wheel"):
        await apps.install(
            source="1", manifest={**manifest, "requirements": ["scipy"]}, app_id="a", timeout=200
        )
    with pytest.raises(Exception, match=r'File "main.py", line 2[\s\S]*ZeroDivisionError'):
        await apps.install(source="a = 0\n1 / a", manifest=manifest, app_id="b", timeout=200)
