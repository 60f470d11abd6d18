"""The login page in a real browser: sign up, approve, and the waiting program goes on."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypha_rpc import connect_to_server, login

from hypha.testing import ServerProcess
from tests.e2e.chromium import Page
from tests.e2e.login_views import ALLOW, MAY_ALLOW, SEEN, SUBMIT, until

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"


@pytest_asyncio.fixture(loop_scope="session")
async def page() -> AsyncIterator[Page]:
    async with Page() as opened:
        yield opened


async def sign_up(page: Page, email: str) -> None:
    await until(page, SEEN, "sign-in")
    await page.run("location.hash = '#sign-up';")
    await until(page, SEEN, "sign-up")
    await page.run(SUBMIT, form="sign-up", fields={"name": "Zoë", "email": email, "password": PASSWORD})


async def waiting_program(server: ServerProcess, **more: Any) -> tuple[asyncio.Task[Any], str]:
    """A Python program in `login()`, and the address that it shows to the person."""
    shown: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def show(context: dict[str, Any]) -> None:
        shown.set_result(context["login_url"])

    config = {"server_url": server.url, "login_callback": show, "login_timeout": 40, **more}
    task = asyncio.create_task(login(config))
    return task, await asyncio.wait_for(shown, 20)


@pytest.mark.spec("core-A7", "core-A5", "wire-38")
async def test_sign_up_approve_and_the_program_goes_on(server: ServerProcess, page: Page) -> None:
    task, url = await waiting_program(server)
    email = f"zoe-{uuid.uuid4().hex[:8]}@example.org"
    await page.open(url)
    await sign_up(page, email)
    await until(page, SEEN, "approve")
    text = await page.run("return document.querySelector('[data-view=approve]').innerText;")
    assert "signed in as Zoë" in text and email in text and url[-6:] in text
    assert not task.done(), "nothing is handed over before the person allows it"
    await until(page, MAY_ALLOW, True)
    await page.run(ALLOW)
    token = await asyncio.wait_for(task, 20)
    client = await connect_to_server({"server_url": server.url, "token": token})
    assert client.config.user["id"].startswith("local-")
    await client.disconnect()

    await until(page, SEEN, "done")
    assert await page.run("return document.cookie;") == "", "scripts don't see the cookie"
    assert await page.run("return location.href;") == url, "no token in the address"

    another, url = await waiting_program(server)
    await page.open(url)
    await until(page, SEEN, "approve")
    await page.run("document.querySelector('[data-act=deny]').click();")
    await until(page, SEEN, "done")
    assert not another.done()
    another.cancel()

    await page.open(f"{server.url}/public/apps/hypha-login/?logout=1")
    await until(page, SEEN, "leave")
    await page.open(f"{server.url}/public/apps/hypha-login/")
    await until(page, SEEN, "profile")  # opening an address ends no session
    await page.open(f"{server.url}/public/apps/hypha-login/?logout=1")
    await until(page, SEEN, "leave")
    await page.run("document.querySelector('[data-view=leave] [data-act=logout]').click();")
    await until(page, SEEN, "sign-in")
    await page.open(f"{server.url}/public/apps/hypha-login/")
    await until(page, SEEN, "sign-in")


async def test_a_click_that_was_meant_for_another_page_allows_nothing(
    server: ServerProcess, page: Page
) -> None:
    task, url = await waiting_program(server)
    await page.open(url)
    await sign_up(page, f"zoe-{uuid.uuid4().hex[:8]}@example.org")
    await until(page, SEEN, "approve")
    hasty = (
        "const button = document.querySelector('[data-act=approve]'); button.click(); return button.disabled;"
    )
    # the page of somebody else that lay above this one is gone: the second of two clicks arrives here
    assert await page.run(f"dispatchEvent(new Event('focus')); {hasty}") is True
    await until(page, MAY_ALLOW, True)
    assert await page.run(f"document.dispatchEvent(new Event('visibilitychange')); {hasty}") is True
    await until(page, MAY_ALLOW, True)
    assert await page.run(SEEN) == "approve" and not task.done()
    await page.run(ALLOW)
    assert await asyncio.wait_for(task, 20)


async def test_popup_redirect_and_frame(server: ServerProcess, page: Page) -> None:
    start = f"{server.url}/public/apps/hypha-login/"
    await page.open(f"{start}?redirect=/api-docs")
    await sign_up(page, f"zoe-{uuid.uuid4().hex[:8]}@example.org")
    await until(page, "return location.pathname;", "/api-docs")

    told = """
    const told = new Promise((done) => addEventListener("message", (event) => {
      if (event.data && event.data.type === "hypha-login") done([event.origin, event.data.status]);
    }));
    const address = `/public/apps/hypha-login/?mode=${args.mode}&origin=${location.origin}`;
    if (args.mode === "iframe") {
      const frame = document.createElement("iframe");
      frame.src = address;
      document.body.append(frame);
    } else {
      window.open(address);
    }
    return await told;
    """
    for mode in ("iframe", "popup"):
        result = await page.command(
            "Runtime.evaluate",
            expression=f"(async (args) => {{ {told} }})({{mode: '{mode}'}})",
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert result["result"].get("value") == [server.url, "signed-in"], mode


async def test_a_new_password_signs_out_everywhere_else(server: ServerProcess, page: Page) -> None:
    email = f"zoe-{uuid.uuid4().hex[:8]}@example.org"
    await page.open(f"{server.url}/public/apps/hypha-login/")
    await sign_up(page, email)
    await until(page, SEEN, "done")
    login_url = f"{server.url}/public/services/hypha-login"
    async with httpx.AsyncClient() as http:
        signed = await http.post(f"{login_url}/login", json={"email": email, "password": PASSWORD})
        elsewhere = {"authorization": f"Bearer {signed.json()['token']}"}
        await page.run("location.hash = '#profile';")
        await until(page, SEEN, "profile")
        await page.run("for (const part of document.querySelectorAll('details.own')) part.open = true;")
        fields = {"current": PASSWORD, "password": "another password"}
        await page.run(SUBMIT, form="password", fields=fields)
        notice = "return document.querySelector('#notice').textContent;"
        await until(page, notice, "Your new password is saved. Everywhere else you are signed out.")
        assert (await http.get(f"{login_url}/profile", headers=elsewhere)).status_code == 401
        await page.run("location.reload();")
        await until(page, notice, "")
        await until(page, SEEN, "profile")
        await page.run("document.querySelector('[data-view=profile] [data-act=logout]').click();")
        await until(page, SEEN, "sign-in")
        await page.run(SUBMIT, form="sign-in", fields={"email": email, "password": PASSWORD})
        await until(page, notice, "Invalid email or password")
        await page.run(SUBMIT, form="sign-in", fields={"email": email, "password": "another password"})
        await until(page, SEEN, "done")


async def test_wrong_input_is_told_beside_the_form(server: ServerProcess, page: Page) -> None:
    await page.open(f"{server.url}/public/apps/hypha-login/")
    await until(page, SEEN, "sign-in")
    await page.run(SUBMIT, form="sign-in", fields={"email": "no address", "password": "x"})
    notice = "const n = document.querySelector('#notice'); return n.getAttribute('role');"
    await until(page, notice, "alert")
    focused = "return [document.activeElement.name, document.activeElement.getAttribute('aria-invalid')];"
    assert await page.run(focused) == ["email", "true"]
    await page.run(SUBMIT, form="sign-in", fields={"email": "nobody@example.org", "password": "12345678"})
    wanted = "return /Invalid email|No users registered/.test(document.querySelector('#notice').innerText);"
    await until(page, wanted, True)


async def test_every_field_has_a_label_and_nothing_overflows(server: ServerProcess, page: Page) -> None:
    await page.command(
        "Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=1, mobile=True
    )
    await page.open(f"{server.url}/public/apps/hypha-login/")
    await until(page, SEEN, "sign-in")
    unnamed = await page.run(
        """
        return [...document.querySelectorAll("input:not([hidden]), select, textarea, button")]
          .filter((each) => !(each.labels && each.labels.length) && !each.textContent.trim()
            && !each.getAttribute("aria-label")).map((each) => each.outerHTML);
        """
    )
    assert unnamed == []
    wide = await page.run(
        """
        const wide = [];
        for (const view of document.querySelectorAll(".view")) {
          for (const other of document.querySelectorAll(".view")) other.hidden = other !== view;
          if (document.documentElement.scrollWidth > innerWidth) wide.push(view.dataset.view);
        }
        return wide;
        """
    )
    assert wide == []
