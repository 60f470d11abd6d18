"""The page of the terminal worker in a real browser, clicked and typed into as a person does."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path
from typing import Any

import pytest

from hypha.testing import ServerProcess
from tests.e2e.chromium import Page
from tests.e2e.terminal_lab import terminal_lab
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person, make_person

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]
SHELL = {
    "name": "Shell",
    "type": "terminal",
    "version": "0.1.0",
    "startup_command": "env PS1='$ ' bash --norc",
}


async def until(page: Page, condition: str, **args: Any) -> Any:
    """Wait until an expression of the page is true; its value."""
    async with asyncio.timeout(60):
        while not (value := await page.run(f"return ({condition});", **args)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return value


async def press(page: Page, key: str, code: int = 0, modifiers: int = 0, text: str = "") -> None:
    event = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
    await page.command("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
    await page.command("Input.dispatchKeyEvent", type="keyUp", **event)


async def write(page: Page, text: str) -> None:
    """Type a line as a person does: letters, then Enter."""
    await page.command("Input.insertText", text=text)
    await press(page, "Enter", 13, text="\r")


async def sign_in(page: Page, server: ServerProcess, person: Person, workspace: str) -> None:
    await page.open(f"{server.url}/public/apps/hypha-terminal/")
    await page.run(
        """
        document.getElementById("workspace").value = args.workspace;
        document.getElementById("token").value = args.token;
        document.getElementById("enter").click();
        """,
        workspace=workspace,
        token=person.token,
    )


async def picture(page: Page, name: str) -> None:
    """Keep a picture where `HYPHA_TEST_PICTURES` says."""
    if folder := os.environ.get("HYPHA_TEST_PICTURES"):
        taken = await page.command("Page.captureScreenshot")
        (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(taken["data"]))


SCREEN = 'document.getElementById("screen").textContent'
NOTE = 'document.getElementById("note").textContent'


@pytest.mark.spec("apps-12.4.5")
async def test_a_person_uses_a_terminal_of_a_listed_workspace(
    page: Page, start_server: StartServer, connect: Connect, tmp_path: Path
) -> None:
    own, owner, client = await terminal_lab(start_server, connect, tmp_path)
    apps = await client.get_service("public/server-apps")
    await apps.install(manifest=SHELL, app_id="shell", wait_for_service=False)
    session = await apps.start("shell", wait_for_service=False)

    await sign_in(page, own, make_person(own, "stranger"), "")
    await until(page, f"/[Pp]ermission|may not/.test({NOTE})")  # a workspace that is not listed
    assert await page.run('return document.getElementById("list").hidden;')

    await sign_in(page, own, owner, "term-lab")
    await until(page, 'document.querySelectorAll("#sessions button").length === 1')
    await picture(page, "terminal-list")
    await page.run('document.querySelector("#sessions button").click();')
    await until(page, f'{SCREEN}.startsWith("$ ")')
    await write(page, "echo $((6*7))")
    await until(page, f'{SCREEN}.includes("\\n42\\n$ ")')
    await write(page, "cat")
    await write(page, "again")
    await until(page, f'{SCREEN}.includes("again\\nagain")')
    await press(page, "c", 67, modifiers=2)  # Ctrl+C
    await until(page, f'{SCREEN}.includes("^C")')
    await press(page, "ArrowUp", 38)
    await until(page, f"/\\$ cat ?$/.test({SCREEN})")
    await press(page, "u", 85, modifiers=2)
    size = {"height": 500, "deviceScaleFactor": 1, "mobile": False}
    await page.command("Emulation.setDeviceMetricsOverride", width=600, **size)
    worker = await client.get_service(session["worker_id"])
    async with asyncio.timeout(30):
        while (await worker.get_screen_content(session["id"]))["terminal_size"]["cols"] >= 80:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await write(page, "stty size; seq 40")
    await until(page, f'{SCREEN}.includes("\\n40\\n$ ")')
    await picture(page, "terminal-view")
    await write(page, "exit")
    await until(page, f'{NOTE}.includes("has ended")')
