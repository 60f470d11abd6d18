"""The pages in a real browser: they connect, show that the server is there, and work offline."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from hypha.testing import ServerProcess, eventually
from tests.e2e.chromium import Page
from tests.kit.people import Person

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]


async def text_of(page: Page, element: str) -> str:
    return str(await page.run("return document.getElementById(args.id).textContent;", id=element))


async def test_the_landing_page_is_live_and_can_be_called(page: Page, server: ServerProcess) -> None:
    await page.open(f"{server.url}/")

    async def is_connected() -> bool:
        connected = (await text_of(page, "status")).startswith("Connected as anonymouz-")
        return connected and (await text_of(page, "trip")).endswith("ms")

    async def line() -> str:
        found = await text_of(page, "try-line")
        return found if found.startswith("curl ") else ""

    await eventually(is_connected, within_s=15)
    url = (await eventually(line, within_s=10)).split('"')[1]
    answer = await asyncio.to_thread(subprocess.run, ["curl", "-s", url], capture_output=True, text=True)
    assert "Hello, you!" in answer.stdout

    async def has_noticed() -> bool:
        return "you called this page" in await text_of(page, "calls")

    await eventually(has_noticed, within_s=5)
    assert server.url in await text_of(page, "panel-python")


async def test_the_landing_page_fits_a_phone_and_its_tabs_obey_the_keyboard(
    page: Page, server: ServerProcess
) -> None:
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    await page.command("Emulation.setDeviceMetricsOverride", **size)
    await page.open(f"{server.url}/")
    assert await page.run("return document.documentElement.scrollWidth;") == 360
    shown = await page.run(
        """
        const tab = document.getElementById("tab-python");
        tab.focus();
        tab.dispatchEvent(new KeyboardEvent("keydown", {key: "End", bubbles: true}));
        return [document.activeElement.id, document.getElementById("panel-curl").hidden];
        """
    )
    assert shown == ["tab-curl", False]
    await page.command("Emulation.clearDeviceMetricsOverride")


async def test_the_api_page_shows_the_description(page: Page, server: ServerProcess) -> None:
    await page.open(f"{server.url}/api-docs")

    async def is_shown() -> bool:
        return "/{workspace}/services/{service}/{function}" in await text_of(page, "groups")

    await eventually(is_shown, within_s=10)


async def test_the_landing_page_leads_to_signing_in_and_to_ones_own_workspace(
    page: Page, server: ServerProcess, alice: Person
) -> None:
    account = """
      const link = document.getElementById("account");
      return [link.textContent, link.pathname];
    """
    await page.open(f"{server.url}/")
    assert await page.run(account) == ["Sign in", "/login"]
    await page.run(
        """
        const headers = {"content-type": "application/json", authorization: `Bearer ${args.token}`};
        await fetch("/public/apps/hypha-login/session", {method: "POST", headers, body: "{}"});
        """,
        token=alice.token,
    )
    await page.open(f"{server.url}/")

    async def is_led_home() -> bool:
        return bool(await page.run(account) == ["Your workspace", f"/{alice.workspace}/"])

    await eventually(is_led_home, within_s=10)


async def test_the_programs_of_the_landing_page_run_as_they_stand(
    page: Page, server: ServerProcess, tmp_path: Path
) -> None:
    await page.open(f"{server.url}/")
    code = "return document.querySelector(`#panel-${args.name} code`).textContent;"
    provider = tmp_path / "provider.py"
    provider.write_text(await page.run(code, name="python"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", provider, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            line = (await process.stdout.readline()).decode().strip()
        assert line.startswith("Call it as ")
        called = line.removeprefix("Call it as ")
        consumer = tmp_path / "consumer.py"
        text = await page.run(code, name="sync")
        assert "THE-ID-THAT-WAS-PRINTED" in text
        consumer.write_text(text.replace("THE-ID-THAT-WAS-PRINTED", called))
        answer = await asyncio.to_thread(
            subprocess.run, [sys.executable, consumer], capture_output=True, text=True
        )
        assert "Hello, world!" in answer.stdout, answer.stderr
    finally:
        process.kill()
        await process.wait()
