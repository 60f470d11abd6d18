"""Apps on the workspace page: run, watched, stopped and removed by clicking, in a real browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hypha.testing import ServerProcess, eventually
from tests.e2e.apps_stage import APP, ATTACK, Stage, set_up
from tests.e2e.chromium import Page
from tests.e2e.visit import AXE, ONLY_HERE, Visit, click
from tests.kit.clients import Connect, shared_server
from tests.kit.people import make_person

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

apps_server = shared_server(
    flags=["--enable-server-apps"], env={"HYPHA_DISABLE_INPROCESS_BROWSER_WORKER": "true"}
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(module_connect: Connect, apps_server: ServerProcess) -> Stage:
    owner = make_person(apps_server, "grower")
    return await set_up(owner, await module_connect(owner, url=apps_server.url, method_timeout=60))


@pytest_asyncio.fixture(loop_scope="session")
async def leaves(stage: Stage) -> AsyncIterator[Stage]:
    """The stage with one app."""
    stage.logs, stage.failure = [], ""
    await stage.install("leaves")
    yield stage
    stage.failure = ""
    await stage.remove_all()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def look(apps_server: ServerProcess) -> AsyncIterator[Visit]:
    async with Page(ONLY_HERE) as page:
        await page.command("Page.enable")
        yield Visit(page, apps_server)


async def test_an_app_is_run_watched_stopped_and_removed(look: Visit, leaves: Stage) -> None:
    leaves.hold.clear()
    leaves.logs[:] = [{"type": "stdout", "content": f"first {ATTACK}\n"}]
    await look.open(leaves.owner.workspace, "#apps", leaves.owner.token)
    await look.shows(APP["description"], ".app-list")
    await look.shows("No app runs now.", "#area")
    await click(look, "Run")
    await look.shows("Initializing worker", ".steps")
    await look.shows(f"Warming up {ATTACK}", ".steps")
    leaves.hold.set()
    await look.shows("App leaves started", ".steps")
    await look.shows(f"first {ATTACK}", ".log-lines")
    leaves.logs.append({"type": "stderr", "content": "\x1b[31mhot\x1b[0m"})
    await look.shows("hot", ".log-item.is-error")
    assert await look.text(".log-item.is-error") == "hot"
    leaves.logs[0] = {"type": "stdout", "content": f"first {ATTACK}\nsecond\n"}
    await look.shows("second", ".log-lines")
    await click(look, "Screenshot")

    async def has_picture() -> bool:
        script = "return (document.querySelector('.screenshot img') || {}).naturalWidth;"
        return await look.page.run(script) == 1

    await eventually(has_picture, within_s=10)
    await look.go("#apps")
    await look.shows("running", ".sessions")
    await click(look, "Stop", ".sessions")
    await click(look, "Really stop?", ".sessions")
    await look.shows("No app runs now.", "#area")
    assert await leaves.apps.list_running() == []
    await look.go("#apps/leaves")
    await click(look, "Uninstall")
    await click(look, "Really uninstall?")
    await look.shows("No app is installed here yet.", "#area")
    assert await leaves.apps.list_apps() == []
    assert await look.complaints() == []


async def test_a_start_that_fails_says_why_with_the_log_of_the_program(look: Visit, leaves: Stage) -> None:
    leaves.failure = f"no light {ATTACK}"
    leaves.logs[:] = [{"type": "stderr", "content": "the lamp is broken"}]
    await look.open(leaves.owner.workspace, "#apps/leaves", leaves.owner.token)
    await click(look, "Run")
    await look.shows(f"no light {ATTACK}", ".progress .failure")
    await look.shows("the lamp is broken", ".progress .result")
    assert "Remote" not in await look.text(".progress")
    await look.go("#apps")
    await look.shows("Run", ".app-list")
    await look.go("#apps/leaves")
    await look.shows("no light", ".progress")
    await click(look, "Close", ".progress")
    await look.shows("It does not run now.", "#area")
    assert await look.text(".progress") == ""
    assert await look.complaints() == []


async def test_readers_run_and_stop_apps_and_change_none(look: Visit, leaves: Stage) -> None:
    await look.open(leaves.owner.workspace, "#apps/leaves", leaves.owner.token_for("r"))
    await click(look, "Run")
    await look.shows("App leaves started", ".steps")
    assert "Uninstall" not in await look.text("#area")
    await look.go("#apps/+install")
    await look.shows("Installed", "#area")
    assert "Install an app" not in await look.text("#area")
    await look.go("#apps/leaves")
    await click(look, "Restart")
    await look.shows("Stopping", ".steps")
    await look.shows("App leaves started", ".steps")
    assert len(await leaves.apps.list_running()) == 1
    assert await look.complaints() == []


async def drop(look: Visit, path: Path) -> None:
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        await look.page.command("Input.dispatchDragEvent", type=kind, x=300, y=420, data=data)


def folder_in(tmp_path: Path, **manifest: Any) -> Path:
    folder = tmp_path / f"my {ATTACK.replace('/', '')}"
    (folder / "data" / ".git").mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"type": "own", "name": "Dropped", **manifest}))
    (folder / "main.py").write_text("print(1)")
    (folder / "data" / "a.bin").write_bytes(b"\xff\x00\xfe")
    (folder / "data" / ".git" / "x").write_text("not sent")
    return folder


async def test_a_folder_that_is_dropped_is_installed(look: Visit, leaves: Stage, tmp_path: Path) -> None:
    await look.open(leaves.owner.workspace, "#apps", leaves.owner.token)
    await look.shows(APP["description"], ".app-list")
    await drop(look, folder_in(tmp_path))
    await look.shows("3 files", "#area")
    await look.fill(**{"app-name": "Dropped here", "app-waits": "no"})
    await click(look, "Install")
    await look.shows("It does not run now.", "#area")
    assert await look.text("#area h2") == "Dropped here"
    assert (await leaves.apps.get_app_info("dropped-here"))["manifest"]["entry_point"] == "main.py"
    assert await leaves.apps.read_file("dropped-here", "main.py") == "print(1)"
    assert await leaves.apps.read_file("dropped-here", "data/a.bin", format="binary") == "/wD+"
    with pytest.raises(Exception, match="Failed to get file content"):
        await leaves.apps.read_file("dropped-here", "data/.git/x")
    assert await look.complaints() == []


async def test_what_cannot_be_installed_is_told(look: Visit, leaves: Stage, tmp_path: Path) -> None:
    await look.open(leaves.owner.workspace, "#apps/+install", leaves.owner.token)
    await look.shows("No worker here runs apps of this type.", "#area")
    await click(look, "Address")
    await look.shows("https only", "#area")
    await look.fill(**{"app-address": "http://example.org/x"})
    await click(look, "Install")
    await look.shows("Only secured https urls are allowed", ".progress .failure")
    await click(look, "Close", ".progress")
    await click(look, "Files or folder")
    await look.shows("drop it", "#area")
    await drop(look, folder_in(tmp_path, name="Leaves"))
    await look.shows("3 files", "#area")
    await look.fill(**{"app-id": "no id!"})
    await click(look, "Install")
    await look.shows("An app id has letters", "#area")
    await look.fill(**{"app-id": "leaves", "app-waits": "no"})
    await click(look, "Install")
    await look.shows("already exists", ".progress .failure")
    await look.page.run("document.getElementById('app-over').click();")
    await click(look, "Install")
    await look.shows("It does not run now.", "#area")
    assert await leaves.apps.read_file("leaves", "main.py") == "print(1)"
    (tmp_path / "manifest.json").write_text("{")
    await look.go("#apps/+install/files")
    await look.shows("drop it", "#area")
    await drop(look, tmp_path / "manifest.json")
    await look.shows("manifest.json is no JSON", "#area")
    assert await look.complaints() == []


async def flip(look: Visit, *names: str) -> None:
    for name in names:
        await look.page.run("document.getElementById(args.id).click();", id=f"set-{name}")


async def test_switches_are_kept_once_the_app_was_tried(look: Visit, leaves: Stage) -> None:
    await leaves.apps.start("leaves")
    await look.open(leaves.owner.workspace, "#apps/leaves", leaves.owner.token)
    await look.shows("Singleton", "#area")
    await flip(look, "singleton")
    await look.fill(**{"set-idle": "30"})
    await click(look, "Save")
    await look.shows("singleton", ".tags")
    manifest = (await leaves.apps.get_app_info("leaves"))["manifest"]
    assert (manifest["singleton"], manifest["daemon"]) == (True, False)
    assert manifest["startup_config"] == {"wait_for_service": False, "stop_after_inactive": 30}
    leaves.failure = "no light"
    await flip(look, "daemon")
    await click(look, "Save")
    await look.shows("There are changes that are not committed.", "#area")
    await look.shows("no light", ".progress")
    assert "daemon" not in await look.text(".tags")
    leaves.failure = ""
    await click(look, "Try and commit")
    await look.shows("daemon", ".tags")
    manifest = (await leaves.apps.get_app_info("leaves"))["manifest"]
    assert manifest["startup_config"] == {"wait_for_service": False}
    await flip(look, "disabled")
    await click(look, "Save")
    await look.shows("disabled", ".tags")
    await look.shows("It does not run now.", "#area")
    assert await leaves.apps.list_running() == []
    assert await look.complaints() == []


async def test_a_worker_of_the_workspace_is_disabled_and_enabled(look: Visit, leaves: Stage) -> None:
    await look.open(leaves.owner.workspace, "#apps", leaves.owner.token)
    await look.shows("this workspace", "table")
    await click(look, "Disable", "table")
    await look.shows("disabled", "table")
    assert [each["disabled"] for each in await leaves.apps.list_workers()] == [True]
    await click(look, "Enable", "table")
    await look.shows("Disable", "table")
    assert [each["disabled"] for each in await leaves.apps.list_workers()] == [False]
    await look.open(leaves.owner.workspace, "#apps", leaves.owner.token_for("r"))
    await look.shows("this workspace", "table")
    assert "Disable" not in await look.text("table")


async def test_a_server_without_apps_says_so(visit: Visit) -> None:
    person = make_person(visit.server, "plain")
    await visit.open(person.workspace, "#apps", person.token)
    await visit.shows("--enable-server-apps", "#area")


@pytest.mark.slow
async def test_an_app_that_is_disabled_is_not_run(look: Visit, leaves: Stage) -> None:
    await leaves.install("off", name="Off", disabled=True)
    await look.open(leaves.owner.workspace, "#apps/off", leaves.owner.token)
    await look.shows("disabled", ".tags")
    assert await look.page.run("return document.querySelector('#area .button.primary').disabled;")


@pytest.mark.slow
async def test_a_draft_is_run_discarded_and_committed(look: Visit, leaves: Stage) -> None:
    leaves.hold.set()
    await leaves.apps.install(source="x", manifest=APP, app_id="draft", wait_for_service=False, stage=True)
    await look.open(leaves.owner.workspace, "#apps/draft", leaves.owner.token)
    await look.shows("It is a draft.", "#area")
    await leaves.apps.edit_app("draft", startup_config={"wait_for_service": False})
    await click(look, "Run")
    await look.shows("App draft started", ".steps")
    await click(look, "Try and commit")
    await look.shows("v0", "#area")
    await leaves.apps.edit_app("draft", manifest={"description": "changed"})
    await look.go("#apps")
    await look.go("#apps/draft")
    await click(look, "Discard")
    await click(look, "Really discard?")

    async def is_gone() -> bool:
        return "not committed" not in await look.text("#area")

    await eventually(is_gone, within_s=10)
    assert (await leaves.apps.get_app_info("draft", stage=True))["staging"] is None
    assert await look.complaints() == []


@pytest.mark.slow
async def test_many_apps_come_page_by_page_and_are_found(look: Visit, leaves: Stage) -> None:
    numbers = range(55)
    await asyncio.gather(*(leaves.install(f"app-{n}", name=f"App {n}", disabled=True) for n in numbers))
    await look.open(leaves.owner.workspace, "#apps", leaves.owner.token)
    await look.shows("Show more", "#area")
    script = "return document.querySelectorAll('.app-list > li').length;"
    assert await look.page.run(script) == 50
    await click(look, "Show more")
    assert await look.page.run(script) == 56
    await look.fill(**{"app-search": "app-31"})
    await look.shows("App 31", ".app-list")
    assert await look.page.run(script) == 1


@pytest.mark.slow
@pytest.mark.skipif(not AXE.exists(), reason="the npm packages are missing: run `npm install` in tests/js")
@pytest.mark.parametrize("width", [360, 1280])
async def test_axe_finds_nothing_to_mend_in_apps(look: Visit, leaves: Stage, width: int) -> None:
    leaves.logs[:] = [{"type": "stdout", "content": "word " * 200}]
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 800}
    await look.page.command("Emulation.setDeviceMetricsOverride", **screen)
    try:
        await look.open(leaves.owner.workspace, "#apps/leaves", leaves.owner.token)
        await click(look, "Run")
        await look.shows("word", ".log-lines")
        await click(look, "Screenshot")
        await look.shows("Taken at", ".screenshot")
        await look.page.command("Runtime.evaluate", expression=AXE.read_text("utf-8"))
        places = {
            "#apps/leaves": "Uninstall", "#apps": "running", "#apps/+install": "FastAPI",
            "#apps/+install/files": "drop it", "#apps/+install/address": "https only",
        }  # fmt: skip
        for place, text in places.items():
            await look.go(place)
            await look.shows(text, "#area")
            found = await look.page.run(
                "return (await axe.run()).violations.map((v) => v.id + ': ' + v.nodes[0].html);"
            )
            assert found == [], place
            assert await look.page.run("return document.documentElement.scrollWidth;") <= width, place
    finally:
        await look.page.command("Emulation.clearDeviceMetricsOverride")
