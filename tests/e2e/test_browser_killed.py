"""The browser of the server dies: its sessions are reported, and daemons come back."""

from __future__ import annotations

import os
import shutil

import psutil
import pytest

from hypha.testing import ServerProcess, eventually
from hypha.workers.browser.chromium import NAMES, has_playwright
from tests.e2e.apps_lab import controller
from tests.kit.clients import Connect, StartServer
from tests.kit.people import make_person

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        not has_playwright() or not any(map(shutil.which, NAMES)),
        reason="Chromium or playwright is not installed",
    ),
]
SCRIPT = "api.export({ add: (a, b) => a + b });"
PAGE = {"name": "Page", "type": "window", "version": "0.1.0"}


def browsers_of(server: ServerProcess) -> list[psutil.Process]:
    """The main processes of browsers that a server has begun."""
    found = []
    for process in psutil.Process(server.pid).children(recursive=True):
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        is_main = not any(word.startswith("--type=") for word in words)
        if is_main and any("chrom" in word for word in words[:1]) and "crashpad" not in words[0]:
            found.append(process)
    return found


@pytest.mark.spec("apps-12.1.21")
async def test_sessions_of_a_browser_that_is_killed_end_and_daemons_run_again(
    start_server: StartServer, connect: Connect
) -> None:
    env = {key: os.environ[key] for key in ("HYPHA_CHROMIUM_PATH",) if key in os.environ}
    own = await start_server(flags=["--enable-server-apps"], env=env)
    ann = make_person(own, "ann")
    apps = await controller(connect, own, ann)
    client = await connect(ann, url=own.url, method_timeout=90)
    await apps.install(source=SCRIPT, manifest={**PAGE, "daemon": True}, app_id="daemon")
    await apps.install(source=SCRIPT, manifest=PAGE, app_id="page")
    for app_id in ("daemon", "page"):
        await apps.start(app_id)
    before = {each["app_id"]: each["id"] for each in await apps.list_running()}
    killed = browsers_of(own)
    assert killed and before.keys() == {"daemon", "page"}
    for process in killed:
        process.kill()

    async def is_as_it_should_be() -> bool:
        running = {each["app_id"]: each for each in await apps.list_running()}
        daemon = running.get("daemon")
        is_back = daemon is not None and daemon["status"] == "running" and daemon["id"] != before["daemon"]
        return is_back and "page" not in running

    await eventually(is_as_it_should_be, within_s=120)
    service = await client.get_service("default@daemon")
    assert await service.add(1, 2) == 3
    assert (
        await (await client.get_service("default@page")).add(3, 4) == 7
    )  # and it starts when it is looked for
    assert own.is_running
