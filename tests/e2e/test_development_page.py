"""Writing apps on the workspace page: edited, saved, installed and run by clicking and typing."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hypha.testing import ServerProcess, eventually
from hypha.workers.browser.chromium import NAMES, has_playwright
from tests.e2e.apps_lab import controller
from tests.e2e.apps_stage import ATTACK, Stage, set_up
from tests.e2e.chromium import Page
from tests.e2e.visit import AXE, ONLY_HERE, Visit, click
from tests.kit.clients import Connect, shared_server
from tests.kit.people import make_person

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

apps_server = shared_server(
    flags=["--enable-server-apps"], env={"HYPHA_DISABLE_INPROCESS_BROWSER_WORKER": "true"}
)
worker_server = shared_server(
    flags=["--enable-server-apps"],
    env={key: os.environ[key] for key in ("HYPHA_CHROMIUM_PATH",) if key in os.environ},
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(module_connect: Connect, apps_server: ServerProcess) -> Stage:
    owner = make_person(apps_server, "writer")
    client = await module_connect(owner, url=apps_server.url, method_timeout=60)
    return await set_up(owner, client, supported_types=["own", "web-worker"])


@pytest_asyncio.fixture(loop_scope="session")
async def empty(stage: Stage) -> AsyncIterator[Stage]:
    stage.logs, stage.failure = [], ""
    stage.hold.set()
    yield stage
    stage.failure = ""
    await stage.remove_all()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(apps_server: ServerProcess) -> AsyncIterator[Visit]:
    async with Page(ONLY_HERE) as page:
        await page.command("Page.enable")
        yield Visit(page, apps_server)


async def text_of(desk: Visit) -> str:
    return str(await desk.page.run("return document.getElementById('editor-text').value;"))


async def type_in(desk: Visit, text: str, place: str = "") -> None:
    """Type before a place in the text that is edited, or at its end."""
    script = """
        const area = document.getElementById("editor-text");
        area.focus();
        const at = args.place ? area.value.indexOf(args.place) : area.value.length;
        area.setSelectionRange(at, at);
    """
    await desk.page.run(script, place=place)
    await desk.page.command("Input.insertText", text=text)


async def discard(desk: Visit) -> None:
    await click(desk, "Discard changes")
    await click(desk, "Really discard?")


async def test_an_app_is_written_from_a_template_saved_installed_and_run(desk: Visit, empty: Stage) -> None:
    await desk.open(empty.owner.workspace, "#development", empty.owner.token)
    await desk.shows("No worker here runs apps of this type.", "#area")
    await click(desk, "Code")
    await desk.shows("api.export", ".editor")
    await type_in(desk, f"// mine {ATTACK}\n", "api.export")
    await desk.shows(f"// mine {ATTACK}", ".editor")
    await desk.fill(**{"app-id": "mine", "new-file": "data/words.txt"})
    await click(desk, "Add file")
    await desk.shows("data/words.txt", ".editor-title")
    await type_in(desk, f"oak\n{ATTACK}")
    await desk.shows("changes that are not saved", "#area")
    await click(desk, "Save")
    await desk.shows("Saved as a draft", "#area")
    assert (await empty.apps.get_app_info("mine"))["versions"] == []
    assert await empty.apps.read_file("mine", "data/words.txt", stage=True) == f"oak\n{ATTACK}"
    assert f"// mine {ATTACK}" in await empty.apps.read_file("mine", "source", stage=True)
    assert await desk.page.run("return location.hash;") == "#development/mine"
    await empty.apps.edit_app("mine", startup_config={"wait_for_service": False})
    await click(desk, "Install")
    await desk.shows("Installed.", "#area")
    await desk.shows("main.js made", ".desk-files")
    empty.logs[:] = [{"type": "stdout", "content": f"grew {ATTACK}"}]
    await click(desk, "Run")
    await desk.shows("App mine started", ".steps")
    await desk.shows(f"grew {ATTACK}", ".log-lines")
    assert await desk.complaints() == []


async def test_files_of_an_app_are_changed_one_by_one(desk: Visit, empty: Stage) -> None:
    files = [{"path": "a/b.py", "content": "b = 1\n"}, {"path": "gone.txt", "content": "x"}]
    manifest = {"name": f"Kept {ATTACK}", "type": "own", "version": "0.1.0", "entry_point": "main.py"}
    await empty.apps.install(
        source="print(1)\n", manifest=manifest, files=files, app_id="kept", wait_for_service=False
    )
    await desk.open(empty.owner.workspace, "#development", empty.owner.token)
    await click(desk, manifest["name"])
    await desk.shows("print", ".editor")
    await type_in(desk, "print(2)\n")
    await click(desk, "gone.txt", ".desk-files")
    await desk.shows("gone.txt", ".editor-title")
    await click(desk, "Remove")
    await click(desk, "Really remove?")
    await click(desk, "b.py", ".desk-files")
    await desk.shows("b = 1", ".editor")
    await type_in(desk, "c = 2\n")
    await click(desk, "Manifest", ".desk-files")
    await desk.shows('"name"', ".editor")
    await type_in(desk, '"docs": "said", ', '"name"')
    await desk.go("#apps")
    await desk.shows("Installed", "#area")
    await desk.go("#development")
    await desk.shows("not saved", "#area")
    await desk.go("#development/kept")
    await desk.shows("changes that are not saved", "#area")
    empty.failure = "no light"
    await click(desk, "Install")
    await desk.shows("no light", ".progress .failure")
    assert await empty.apps.read_file("kept", "main.py") == "print(1)\n"
    assert await empty.apps.read_file("kept", "main.py", stage=True) == "print(1)\nprint(2)\n"
    empty.failure = ""
    await click(desk, "Install")
    await desk.shows("Installed.", "#area")
    assert await empty.apps.read_file("kept", "main.py") == "print(1)\nprint(2)\n"
    assert await empty.apps.read_file("kept", "a/b.py") == "b = 1\nc = 2\n"
    assert {each["name"] for each in await empty.apps.list_files("kept")} == {"a", "main.py"}
    assert (await empty.apps.get_app_info("kept"))["manifest"]["docs"] == "said"
    assert await desk.complaints() == []


@pytest.mark.slow
async def test_what_cannot_be_saved_is_told(desk: Visit, empty: Stage) -> None:
    await empty.install("taken")
    await desk.open(empty.owner.workspace, "#development/+code", empty.owner.token)
    await desk.shows("api.export", ".editor")
    await desk.fill(**{"app-id": "no id!"})
    await click(desk, "Save")
    await desk.shows("An app id has letters", "#area")
    await desk.fill(**{"app-id": "taken"})
    await click(desk, "Save")
    await desk.shows("already exists", ".progress .failure")
    await desk.fill(**{"new-file": "../x"})
    await click(desk, "Add file")
    await desk.shows("That is no path of a file.", "#area")
    await type_in(desk, "x")
    await desk.shows("changes that are not saved", "#area")
    await discard(desk)
    await desk.shows("Begin with a template", "#area")
    await desk.go("#development/taken")
    await click(desk, "Manifest", ".desk-files")
    await desk.shows('"name"', ".editor")
    await type_in(desk, "{")
    await click(desk, "Save")
    await desk.shows("The manifest is no JSON", ".progress .failure")
    await discard(desk)
    await desk.shows("Installed.", "#area")
    await desk.go("#development/nothing")
    await desk.shows("App nothing not found", "#area")
    await desk.go("#development/+nothing")
    await desk.shows("There is no template nothing.", "#area")
    await desk.open(empty.owner.workspace, "#development", empty.owner.token_for("r"))
    await desk.shows("Services", "#areas")
    assert "Development" not in await desk.text("#areas")


@pytest.mark.slow
@pytest.mark.skipif(not AXE.exists(), reason="the npm packages are missing: run `npm install` in tests/js")
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_to_mend_in_development(
    desk: Visit, empty: Stage, width: int, scheme: str
) -> None:
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 800}
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    await desk.page.command("Emulation.setDeviceMetricsOverride", **screen)
    await desk.page.command("Emulation.setEmulatedMedia", features=features)
    try:
        await desk.open(empty.owner.workspace, "#development", empty.owner.token)
        await desk.shows("Begin with a template", "#area")
        await desk.page.command("Runtime.evaluate", expression=AXE.read_text("utf-8"))
        for place, text in {
            "#development": "Begin with",
            "#development/+fastapi_advanced": "fastapi",
        }.items():
            await desk.go(place)
            await desk.shows(text, "#area")
            found = await desk.page.run(
                "return (await axe.run()).violations.map((v) => v.id + ': ' + v.nodes[0].html);"
            )
            assert found == [], place
            assert await desk.page.run("return document.documentElement.scrollWidth;") <= width, place
    finally:
        await desk.page.command("Emulation.clearDeviceMetricsOverride")
        await desk.page.command("Emulation.setEmulatedMedia", features=[])


@pytest.mark.slow
@pytest.mark.spec("apps-12.10.2")
@pytest.mark.skipif(
    not has_playwright() or not any(map(shutil.which, NAMES)),
    reason="Chromium or playwright is not installed",
)
async def test_all_of_it_by_clicking_on_a_real_worker(worker_server: ServerProcess, connect: Connect) -> None:
    person = make_person(worker_server, "clicker")
    async with Page(ONLY_HERE) as page:
        await page.command("Page.enable")
        visit = Visit(page, worker_server)
        await visit.open(person.workspace)
        await click(visit, "Sign in", "#session")
        await page.run("document.getElementById('token').focus();")
        await page.command("Input.insertText", text=person.token)
        await click(visit, "Use token", "#session")
        await click(visit, "Development", "#areas")
        await click(visit, "JavaScript app")
        await visit.shows("class", ".editor")
        await type_in(visit, "console.log('typed here');\n", "const list")
        await click(visit, "Install")

        async def is_installed() -> bool:
            return "Installed." in await visit.text("#area")

        await eventually(is_installed, within_s=60)
        await click(visit, "Run")
        await eventually(lambda: _shows(visit, "typed here", ".log-lines"), within_s=60)
        await click(visit, "Its page")
        await click(visit, "Screenshot")
        await eventually(lambda: _shows(visit, "Taken at", ".screenshot"), within_s=30)
        assert await page.run("return document.querySelector('.screenshot img').naturalWidth;") == 1280
        await click(visit, "Stop")
        await click(visit, "Really stop?")
        apps = await controller(connect, worker_server, person)

        async def has_stopped() -> bool:
            return await apps.list_running() == []

        await eventually(has_stopped, within_s=30)
        await click(visit, "Uninstall")
        await click(visit, "Really uninstall?")
        await visit.shows("No app is installed here yet.", "#area")
        assert await apps.list_apps() == []
        assert await visit.complaints() == []


async def _shows(visit: Visit, text: str, selector: str) -> bool:
    return text in await visit.text(selector)
