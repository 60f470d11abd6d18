"""Pages that are installed with the app controller, and run by the browser worker inside the server."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import Any

import pytest

from hypha.testing import ServerProcess
from hypha.workers.browser.chromium import NAMES, has_playwright
from tests.e2e.apps_lab import controller
from tests.kit.clients import Connect, shared_server
from tests.kit.people import make_person

pytestmark = pytest.mark.skipif(
    not has_playwright() or not any(map(shutil.which, NAMES)),
    reason="Chromium or playwright is not installed",
)

browser_server = shared_server(
    flags=["--enable-server-apps", "--startup-functions=hypha.workers.browser:hypha_startup"],
    env={key: os.environ[key] for key in ("HYPHA_CHROMIUM_PATH",) if key in os.environ},
)
PLUGIN = """
<config lang="json">
{{"name": "Adder", "type": "{type}", "version": "0.1.0", "description": "Adds"}}
</config>
<script lang="javascript">
api.export({{
  async setup() {{}}, add(a, b) {{ return a + b; }}, who() {{ return [env.get("HYPHA_APP_ID")]; }},
}})
</script>
"""
SCRIPT = "api.export({ async setup() {}, add(a, b) { return a + b; } })"
PAGE = "<!doctype html><title>Hello</title><p>Hello</p>"


@pytest.mark.spec("apps-12.2.1", "apps-12.4.1")
async def test_plugin_files_of_pages_and_workers_serve_when_they_are_looked_for(
    connect: Connect, browser_server: ServerProcess
) -> None:
    ann = make_person(browser_server, "ann")
    client = await connect(ann, url=browser_server.url, method_timeout=90)
    apps = await controller(connect, browser_server, ann)

    async def serve(kind: str) -> None:
        made = await apps.install(source=PLUGIN.format(type=kind), app_id=kind)
        assert (made["entry_point"], made["type"]) == ("index.html", kind)
        service = await client.get_service(f"default@{kind}")
        assert await service.add(1, 2) == 3
        assert await service.who() == [kind]

    await asyncio.gather(serve("window"), serve("web-worker"))
    sessions = await apps.list_running()
    assert {each["app_type"] for each in sessions} == {"window", "web-worker"}
    picture = await apps.take_screenshot(sessions[0]["id"])
    assert picture[:4] == b"\x89PNG"
    assert await apps.execute(sessions[0]["id"], "1 + 2") == 3
    assert await apps.stop_all() == 2


@pytest.mark.spec("apps-12.2.4")
async def test_a_script_without_a_page_of_its_own_runs_in_a_web_worker(
    connect: Connect, browser_server: ServerProcess
) -> None:
    ann = make_person(browser_server, "ann")
    client = await connect(ann, url=browser_server.url, method_timeout=90)
    apps = await controller(connect, browser_server, ann)
    manifest = {"name": "Adder", "type": "web-worker", "version": "0.1.0"}
    await apps.install(source=SCRIPT, manifest=manifest, app_id="adder")
    assert await (await client.get_service("default@adder")).add(1, 2) == 3
    assert await apps.stop_all() == 1


@pytest.mark.spec("apps-12.2.3")
async def test_a_raw_page_becomes_an_app_that_is_served_unchanged(
    connect: Connect, browser_server: ServerProcess
) -> None:
    ann = make_person(browser_server, "ann")
    apps: Any = await controller(connect, browser_server, ann)
    made = await apps.install(source=PAGE, app_id="raw", wait_for_service=False)
    assert (made["type"], made["name"], made["entry_point"]) == ("window", "Raw HTML App", "index.html")
    assert await apps.read_file("raw", "index.html") == PAGE
    with pytest.raises(Exception, match="Failed to install app 'bad'"):
        await apps.install(source=PLUGIN.format(type="window").replace("api.export", "nothing"), app_id="bad")


LOUD = """
<config lang="json">
{"name": "Loud", "type": "window", "version": "0.1.0"}
</config>
<script lang="javascript">
api.export({
  shout() {
    for (let n = 0; n < 1500; n++) { console.log("x".repeat(20000)); hyphaReport("x".repeat(20000), "y"); }
    return "done";
  },
})
</script>
"""


async def test_a_page_that_says_a_lot_holds_up_the_server_for_nobody(
    connect: Connect, browser_server: ServerProcess
) -> None:
    """The server is watched as in all tests: a long turn of its event loop fails this one."""
    eve = make_person(browser_server, "eve")
    client = await connect(eve, url=browser_server.url, method_timeout=90)
    apps = await controller(connect, browser_server, eve)
    await apps.install(source=LOUD, app_id="loud")
    service = await client.get_service("default@loud")
    (session,) = await apps.list_running()
    for script in ("'x'.repeat(2**26)", "new Array(300000).fill({a: 1})"):
        with pytest.raises(Exception, match="The answer is too large"):
            await apps.execute(session["id"], script)
    assert await service.shout() == "done"
    page = await apps.get_logs(session["id"], type="console")
    assert sum(len(item["content"]) for item in page["items"]) <= 1_000_000
    await apps.stop(session["id"])
