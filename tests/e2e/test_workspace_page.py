"""The workspace page in a real browser that can reach no other host."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess, eventually
from tests.e2e.visit import AXE, Visit
from tests.kit.clients import Connect
from tests.kit.people import Person, make_person

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

AREAS = (
    "services", "apps", "development", "clients", "files", "artifacts", "tokens", "environment", "events",
)  # fmt: skip
SNAP = {
    "name": "snap",
    "description": "Take one picture.\n\nThe stage must be still.",
    "parameters": {
        "type": "object",
        "properties": {
            "exposure": {"type": "integer", "description": "Milliseconds", "minimum": 1},
            "channel": {"enum": ["red", "green"], "default": "red"},
            "focus": {"type": "boolean", "default": False},
            "label": {"type": "string", "title": "Label"},
            "options": {"type": "object", "description": "Further settings"},
        },
        "required": ["exposure", "label"],
    },
}


def snap(
    exposure: int, label: str, channel: str = "red", focus: bool = False, options: Any = None
) -> dict[str, Any]:
    return {"exposure": exposure, "label": label, "channel": channel, "focus": focus, "options": options}


snap.__schema__ = SNAP  # type: ignore[attr-defined]


async def steps(n: int) -> AsyncIterator[int]:
    """Count."""
    for number in range(n):
        yield number


def fail(why: str = "no light") -> None:
    """Fail."""
    raise ValueError(why)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def owner(module_connect: Connect, server: ServerProcess) -> Person:
    """The owner of a workspace with two services."""
    owner = make_person(server, "owner")
    client = await module_connect(owner, client_id="scope")
    functions = {"snap": snap, "steps": steps, "stage": {"fail": fail}}
    shown = {"name": "Microscope", "description": "Three channels."}
    await client.register_service(
        {"id": "microscope", **shown, "config": {"visibility": "public"}, **functions}
    )
    await client.register_service({"id": "secret", "name": "Hidden one", "fail": fail})
    return owner


async def test_a_form_is_filled_called_and_shown_as_code(visit: Visit, owner: Person) -> None:
    await visit.open(owner.workspace, "#services/scope:microscope/snap", owner.token)
    await visit.shows("The stage must be still.")
    await visit.fill(exposure="40", label="plate 'seven'", options='{"gain": 2}')
    await visit.submit()
    await visit.shows('"options": {\n    "gain": 2\n  }', ".output")
    result = json.loads(await visit.text(".result"))
    assert result == snap(40, "plate 'seven'", options={"gain": 2})
    codes = {}
    for name in ("python", "javascript", "curl"):
        await visit.page.run('document.querySelector(`[role=tab][id$="-${args.name}"]`).click();', name=name)
        codes[name] = await visit.text(".panel code")
    assert 'service.snap(exposure=40, label="plate \'seven\'", options={"gain": 2})' in codes["python"]
    assert f'get_service("{owner.workspace}/scope:microscope")' in codes["python"]
    assert 'service.snap({"exposure":40,' in codes["javascript"] and "_rkwargs" in codes["javascript"]
    assert owner.token not in "".join(codes.values())
    assert await visit.complaints() == []
    process = await asyncio.create_subprocess_shell(
        codes["curl"].replace("curl ", "curl -s ", 1),
        stdout=asyncio.subprocess.PIPE,
        env={"HYPHA_TOKEN": owner.token, "PATH": "/usr/bin:/bin"},
    )
    answer, _ = await process.communicate()
    assert json.loads(answer) == result


async def test_mistakes_are_told_beside_their_field(visit: Visit, owner: Person) -> None:
    await visit.open(owner.workspace, "#services/scope:microscope/snap", owner.token)
    await visit.shows("exposure")
    await visit.fill(exposure="", label="x")
    await visit.submit()
    await visit.shows("exposure is needed.", ".field-error:not([hidden])")
    assert await visit.page.run("return document.activeElement.id.endsWith('exposure');")
    await visit.fill(exposure="3", options="{")
    await visit.submit()
    await visit.shows("options is not valid JSON", ".fields")


async def test_streams_and_errors_are_shown(visit: Visit, owner: Person) -> None:
    await visit.open(owner.workspace, "#services/scope:microscope/steps", owner.token)
    await visit.shows("Call", "form.call")
    await visit.fill(n="3")
    await visit.submit()
    await visit.shows("Stream ended: 3 items", ".output")
    assert (await visit.text(".result")).split() == ["0", "1", "2"]
    await visit.shows("async for item in", ".panel")
    await visit.go("#services/scope:microscope/stage.fail")
    await visit.shows("stage.fail", ".function[open]")
    await visit.submit()
    await visit.shows("ValueError: no light", ".failure")


async def test_strangers_see_public_services_only(visit: Visit, owner: Person) -> None:
    await visit.open(owner.workspace)
    await visit.shows("Microscope", ".service-list")
    assert "Hidden one" not in await visit.text(".service-list")
    assert await visit.page.run("return document.getElementById('areas').hidden;")
    assert "Sign in" in await visit.text("#session")
    await visit.page.run('document.querySelector("#session button").click();')
    await visit.page.run(
        """
        document.getElementById("token").value = args.token;
        document.querySelector("dialog form").requestSubmit();
        """,
        token=owner.token,
    )
    await visit.shows("Hidden one", ".service-list")
    assert await visit.complaints() == []


async def test_people_sign_in_on_the_servers_own_page(visit: Visit, owner: Person) -> None:
    await visit.open(owner.workspace)
    await visit.shows("Sign in", "#session")
    await visit.page.run(
        """
        window.popup = {closed: false, location: "", close() { this.closed = true; }};
        window.open = () => window.popup;
        document.querySelector("#session button").click();
        """
    )
    await visit.shows("Sign in with your account", "dialog")
    await visit.page.run('document.querySelector("dialog button.wide").click();')

    async def address() -> str:
        return str(await visit.page.run("return window.popup.location;"))

    url = await eventually(address, within_s=10)
    assert url.startswith(f"{visit.server.url}/public/apps/hypha-login/?key=")
    key = url.partition("key=")[2].partition("&")[0]
    async with httpx.AsyncClient(base_url=visit.server.url) as http:
        done = {"key": key, "token": owner.token, "user_id": owner.id, "workspace": owner.workspace}
        answer = await http.post(
            "/public/services/hypha-login/report",
            json=done,
            headers={"Authorization": f"Bearer {owner.token}"},
        )
        assert answer.status_code == 200, answer.text
    await visit.shows("Hidden one", ".service-list")
    assert await visit.page.run("return window.popup.closed;")
    assert await visit.complaints() == []


async def test_a_bad_token_is_told_and_forgotten(visit: Visit, owner: Person) -> None:
    await visit.open(owner.workspace, token="not-a-token")
    await visit.shows("Authentication error", "dialog[open]")
    assert await visit.page.run("return sessionStorage.getItem('hypha.token');") is None


async def test_a_token_is_made_used_and_revoked(visit: Visit, owner: Person, connect: Connect) -> None:
    await visit.open(owner.workspace, "#tokens", owner.token)
    await visit.shows("Generate token")
    await visit.fill(**{"token-name": "for the lab"})
    await visit.submit()
    await visit.shows("not shown again", ".new-token")
    token = await visit.page.run("return document.getElementById('new-token').value;")
    client = await connect(owner.with_token(token))
    assert client.config.workspace == owner.workspace
    await visit.shows("for the lab", ".table")
    await visit.page.run(
        """
        const row = [...document.querySelectorAll("tr")].find((row) => row.innerText.includes("for the lab"));
        const button = row.querySelector(".danger");
        button.click();
        button.click();
        """
    )

    async def is_gone() -> bool:
        return "for the lab" not in await visit.text("#area")

    await eventually(is_gone, within_s=10)
    with pytest.raises(Exception, match="revoked"):
        await connect(owner.with_token(token))
    assert await visit.complaints() == []


async def test_variables_are_set_shown_and_deleted(visit: Visit, owner: Person) -> None:
    await visit.open(owner.workspace, "#environment", owner.token)
    await visit.shows("No variable is set.")
    await visit.fill(**{"env-key": "API_KEY", "env-value": "s3cret"})
    await visit.submit()
    await visit.shows("API_KEY", "table")
    assert "s3cret" not in await visit.text()
    await visit.page.run('document.querySelector("table button").click();')
    await visit.shows("s3cret", "table")
    await visit.page.run('const last = document.querySelector("table .danger"); last.click(); last.click();')
    await visit.shows("No variable is set.")


async def test_events_and_clients_come_live(visit: Visit, owner: Person, connect: Connect) -> None:
    await visit.open(owner.workspace, "#events", owner.token)
    await visit.shows("Live", "#live-state")
    client = await connect(owner, client_id="newcomer")
    await client.register_service({"id": "fresh", "fail": fail})
    await visit.shows("Service registered fresh", "#live-events")
    await visit.go("#clients")
    await visit.shows("newcomer", "table")
    await client.disconnect()

    async def has_left() -> bool:
        return "newcomer" not in await visit.text("table")

    await eventually(has_left, within_s=10)
    assert await visit.complaints() == []


async def test_readers_get_the_parts_that_they_may_use(visit: Visit, owner: Person) -> None:
    await visit.open(owner.workspace, token=owner.token_for("r"))
    await visit.shows("Hidden one", ".service-list")
    shown = ["Services", "Apps", "Clients", "Files", "Artifacts", "Events"]
    assert (await visit.text("#areas")).split() == shown
    await visit.shows("read", "#session")


async def test_the_page_fits_a_phone(visit: Visit, owner: Person) -> None:
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    await visit.page.command("Emulation.setDeviceMetricsOverride", **size)
    try:
        await visit.open(owner.workspace, "#services/scope:microscope/snap", owner.token)
        await visit.shows("exposure")
        for area in AREAS:
            await visit.go(f"#{area}" if area != "services" else "#services/scope:microscope/snap")
            await asyncio.sleep(0.2)
            assert await visit.page.run("return document.documentElement.scrollWidth;") == 360, area
    finally:
        await visit.page.command("Emulation.clearDeviceMetricsOverride")


async def test_the_tabs_obey_the_keyboard(visit: Visit, owner: Person) -> None:
    await visit.open(owner.workspace, token=owner.token)
    await visit.shows("Environment", "#areas")
    await visit.page.run(
        """
        const tab = document.querySelector("#areas [aria-selected=true]");
        tab.focus();
        tab.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight", bubbles: true}));
        """
    )
    await visit.shows("--enable-server-apps")
    assert await visit.page.run("return document.activeElement.id;") == "areas-apps"


@pytest.mark.skipif(not AXE.exists(), reason="the npm packages are missing: run `npm install` in tests/js")
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_to_mend(visit: Visit, owner: Person, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    await visit.page.command("Emulation.setEmulatedMedia", features=features)
    try:
        await visit.open(owner.workspace, "#services/scope:microscope/snap", owner.token)
        await visit.shows("exposure")
        await visit.page.command("Runtime.evaluate", expression=AXE.read_text("utf-8"))
        for area in AREAS:
            if area != "services":
                await visit.go(f"#{area}")
                await visit.shows(area.capitalize(), "#area h2")
            found = await visit.page.run(
                "return (await axe.run()).violations.map((v) => v.id + ': ' + v.nodes[0].html);"
            )
            assert found == [], area
    finally:
        await visit.page.command("Emulation.setEmulatedMedia", features=[])


async def test_services_of_any_name_can_be_opened_and_called(
    visit: Visit, owner: Person, connect: Connect
) -> None:
    client = await connect(owner, client_id="namer")
    for name in ("café", "a+b", "日本", "100%"):
        await client.register_service({"id": name, "name": f"Named {name}", "say": lambda name=name: name})
        await visit.open(owner.workspace, f"#services/{quote(f'namer:{name}', safe='')}/say", owner.token)
        await visit.shows("say", ".function[open]")
        await visit.submit()
        await visit.shows(json.dumps(name, ensure_ascii=False), ".output")
        await visit.page.run('document.querySelector(`[role=tab][id$="-curl"]`).click();')
        code = await visit.text(".panel code")
        assert f"/services/namer:{quote(name)}/say" in code
        assert await visit.complaints() == []
