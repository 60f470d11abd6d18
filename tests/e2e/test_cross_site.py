"""A stranger's link, image, form or frame runs nothing as the person whose session the browser has."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess, eventually
from tests.e2e.chromium import Page
from tests.e2e.elsewhere import HELPERS, LAB_HOSTS, WAYS, Elsewhere
from tests.kit.clients import Connect, Connections, StartServer
from tests.kit.people import Person, make_person

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


class Diary:
    """A public service of the victim that notes who called it, and pages of a stranger's application."""

    def __init__(self, victim: Person, stranger: Person) -> None:
        self.victim, self.stranger = victim, stranger
        self.callers: dict[str, str] = {}

    async def caller(self, by: str) -> str:
        """Who a call was from, once it has come."""

        async def found() -> str:
            return self.callers.get(by, "")

        return await eventually(found, within_s=10)

    def path(self, by: str) -> str:
        return f"/{self.victim.workspace}/services/diary/note?by={by}"

    @property
    def app_path(self) -> str:
        return f"/{self.stranger.workspace}/apps/stall/"

    async def register(self, connect: Connect) -> None:
        def note(by: str = "nobody", x: str = "", context: Any = None) -> str:
            self.callers[by] = context["user"]["id"]
            return "noted"

        async def serve(args: dict[str, Any], context: Any = None) -> None:
            path = args["scope"]["path"].strip("/")
            self.callers[f"app {path}"] = context["user"]["id"]
            if args["scope"]["type"] == "websocket":
                await args["send"]({"type": "websocket.accept"})
                return
            headers = [[b"content-type", b"text/html"], [b"referrer-policy", b"unsafe-url"]]
            await args["send"]({"type": "http.response.start", "status": 200, "headers": headers})
            await args["send"](
                {"type": "http.response.body", "body": b"<!doctype html><title>app</title><body>"}
            )

        public = {"visibility": "public", "require_context": True}
        client = await connect(self.victim, client_id="diary")
        await client.register_service({"id": "diary", "config": public, "note": note})
        private = {"visibility": "protected", "require_context": True}
        await client.register_service({"id": "dash", "type": "asgi", "config": private, "serve": serve})
        await client.register_service({"id": "desk", "type": "asgi", "config": public, "serve": serve})
        other = await connect(self.stranger, client_id="stall")
        await other.register_service({"id": "stall", "type": "asgi", "config": public, "serve": serve})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def diary(server: ServerProcess, module_connect: Connect) -> Diary:
    found = Diary(make_person(server, "victim"), make_person(server, "stranger"))
    await found.register(module_connect)
    return found


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    site = Elsewhere()
    yield site
    site.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def page(server: ServerProcess, diary: Diary) -> AsyncIterator[Page]:
    """A browser in which the victim is signed in, under both names of the server."""
    async with Page(LAB_HOSTS) as running:
        for host in ("127.0.0.1", "hub.test"):
            cookie = {
                "name": "access_token",
                "value": diary.victim.token,
                "httpOnly": True,
                "sameSite": "Lax",
            }
            url = f"http://{host}:{server.port}/"
            assert (await running.command("Network.setCookie", url=url, **cookie))["success"]
        yield running


SITES = {
    "another site": ("127.0.0.1", "http://localhost:{elsewhere}/"),
    "another port": ("127.0.0.1", "http://127.0.0.1:{elsewhere}/"),
    "an application": ("127.0.0.1", "http://127.0.0.1:{port}{app}"),
    "another site without HTTPS": ("hub.test", "http://evil.test:{elsewhere}/"),
    "a sibling host without HTTPS": ("hub.test", "http://www.hub.test:{elsewhere}/"),
    "an application without HTTPS": ("hub.test", "http://hub.test:{port}{app}"),
}


@pytest.mark.spec("core-11.1.13")
@pytest.mark.parametrize("site", SITES)
async def test_no_way_of_another_page_runs_a_function_as_the_visitor(
    server: ServerProcess, diary: Diary, page: Page, elsewhere: Elsewhere, site: str
) -> None:
    host, template = SITES[site]
    stand = template.format(elsewhere=elsewhere.port, port=server.port, app=diary.app_path)
    for way, script in WAYS.items():
        name = f"{site}, {way}".replace(" ", "-")
        paths = {f"app {name}": f"/{diary.victim.workspace}/apps/desk/{name}"}
        if way in ("fetch POST", "beacon"):
            paths["nobody"] = diary.path("")  # what they post has no argument
        elif way != "form POST":  # a form is no body that functions take
            paths[name] = diary.path(name)
        for by, path in paths.items():
            await page.open(stand)
            await page.run(
                f"const {{url}} = args; {HELPERS} {script}", url=f"http://{host}:{server.port}{path}"
            )
            assert await diary.caller(by) == "anonymouz-http", by
            diary.callers.clear()


async def test_a_typed_address_runs_nothing_as_the_visitor(
    server: ServerProcess, diary: Diary, page: Page
) -> None:
    for host in ("127.0.0.1", "hub.test"):
        await page.open(f"http://{host}:{server.port}{diary.path(host)}")
        assert await diary.caller(host) == "anonymouz-http"


@pytest.mark.parametrize("host", ["127.0.0.1", "hub.test"])
async def test_scripts_of_our_own_pages_act_as_the_visitor(
    server: ServerProcess, diary: Diary, page: Page, host: str
) -> None:
    await page.open(f"http://{host}:{server.port}/{diary.victim.workspace}/#services/diary:diary/note")

    async def is_shown() -> bool:
        return bool(await page.run("return !!document.querySelector('.function[open] form.call');"))

    await eventually(is_shown, within_s=10)
    await page.run(
        """
        document.querySelector('[id$="by"]').value = args.by;
        document.querySelector("details[open] form.call").requestSubmit();
        """,
        by=f"own page at {host}",
    )
    assert await diary.caller(f"own page at {host}") == diary.victim.id


@pytest.mark.parametrize("host", ["127.0.0.1", "hub.test"])
@pytest.mark.parametrize("door", ["/login", "/public/apps/hypha-login/"])
async def test_the_login_page_leads_a_signed_in_person_to_pages_only(
    server: ServerProcess, diary: Diary, page: Page, host: str, door: str
) -> None:
    base = f"http://{host}:{server.port}"
    made = f"ws-stolen-{diary.victim.id}-{len(door)}-{len(host)}"
    config = json.dumps({"id": made, "name": made, "owners": [diary.stranger.id]})
    manager = f"/{diary.victim.workspace}/services/ws/create_workspace"
    goals = [
        str(httpx.URL(manager, params={"overwrite": "true", "config": config})),
        diary.path("redirect"),
        f"/{diary.victim.workspace}/apps/dash/redirect?x=1",
    ]
    fronts = ["/", "/", f"/{diary.victim.workspace}/apps/dash/"]
    for goal, front in zip(goals, fronts, strict=True):
        for word in ("redirect", "redirect_uri", "next"):
            await page.command("Page.navigate", url=f"{base}{httpx.URL(door, params={word: goal})}")

            async def has_arrived(front: str = front) -> bool:
                return bool(await page.run("return location.pathname + location.search;") == front)

            await eventually(has_arrived, within_s=10)
    assert "redirect" not in diary.callers and "app redirect" not in diary.callers
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {diary.victim.token}"}) as http:
        assert (await http.get(f"{server.url}/{made}/info")).status_code == 404


async def test_opening_addresses_signs_nobody_out(server: ServerProcess, diary: Diary, page: Page) -> None:
    base = f"http://127.0.0.1:{server.port}"
    for path in (
        "/public/apps/hypha-login/?logout=1",
        "/public/services/hypha-login/logout",
        "/login?logout=1",
    ):
        await page.command("Page.navigate", url=base + path)
        await page.open(f"{base}/{diary.victim.workspace}/")
        who = 'return (await (await fetch("/assets/config.json")).json()).user.id;'
        assert await page.run(who) == diary.victim.id


async def test_a_link_into_an_application_asks_before_it_uses_the_session(
    server: ServerProcess, diary: Diary, page: Page, elsewhere: Elsewhere
) -> None:
    base = f"http://127.0.0.1:{server.port}"
    dash = f"{base}/{diary.victim.workspace}/apps/dash/"
    await page.open(dash)
    assert await diary.caller("app ") == diary.victim.id, "the front page opens with the session"
    await page.run("setTimeout(() => location.assign('inside'));")
    assert await diary.caller("app inside") == diary.victim.id, "and so do its own links"

    question = "return document.title + (document.getElementById('open') || {}).disabled;"
    for number, stand in enumerate((f"http://localhost:{elsewhere.port}/", "about:blank")):
        for inside in (f"deep{number}?x=1#part", f"?n={number}"):
            diary.callers.clear()
            await page.open(stand)
            if stand == "about:blank":
                await page.command("Page.navigate", url=dash + inside)
            else:
                await page.run("setTimeout(() => location.assign(args.url));", url=dash + inside)

            async def asks() -> bool:
                return bool(await page.run(question) == "Open with your session?false")

            await eventually(asks, within_s=10)
            text = await page.run("return document.body.innerText;")
            assert diary.victim.id in text and inside.partition("#")[0] in text and not diary.callers
            await page.run("setTimeout(() => document.getElementById('open').click());")
            name = inside.partition("?")[0]
            assert await diary.caller(f"app {name}") == diary.victim.id

            async def is_there(url: str = dash + inside) -> bool:
                return bool(await page.run("return location.href + document.title;") == url + "app")

            await eventually(is_there, within_s=10)


async def test_nobody_frames_the_question_or_gets_it_without_a_session(
    server: ServerProcess, diary: Diary
) -> None:
    path = f"/{diary.victim.workspace}/apps/dash/deep?<script>"
    opened = {"user-agent": "Mozilla/5.0", "sec-fetch-site": "none", "sec-fetch-mode": "navigate"}
    session = {"cookie": f"access_token={diary.victim.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=opened) as http:
        asked = await http.get(path, headers={**session, "sec-fetch-dest": "document"})
        assert asked.status_code == 403 and "<script>" not in asked.text.replace("<script nonce", "")
        policy = asked.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy
        assert asked.headers["x-frame-options"] == "DENY" and "no-store" in asked.headers["cache-control"]
        for headers in (
            {"sec-fetch-dest": "document"},
            {**session, "sec-fetch-dest": "iframe"},
            {"cookie": "access_token=forged", "sec-fetch-dest": "document"},
        ):
            refused = await http.get(path, headers=headers)
            assert refused.status_code == 403 and refused.text.startswith("Permission denied")
        posted = await http.post(path, headers={**session, "sec-fetch-dest": "document"})
        assert posted.status_code == 403 and posted.text.startswith("Permission denied")


@pytest.mark.parametrize("path", ["/", "/public/", "/public/apps/hypha-login/", "/api-docs"])
async def test_an_application_cannot_frame_pages_on_which_one_acts(
    server: ServerProcess, diary: Diary, page: Page, path: str
) -> None:
    base = f"http://127.0.0.1:{server.port}"
    framed = "const f = document.createElement('iframe'); f.src = args.url; document.body.append(f);"

    async def shown(stand: str) -> str:
        await page.open(stand)
        await page.run(f"{framed} await new Promise((done) => (f.onload = done));", url=base + path)
        return await page.framed_url()

    assert await shown(base + diary.app_path) == "chrome-error://chromewebdata/"
    assert await shown(f"{base}/static/LICENSES.txt") == base + path


async def test_the_rule_holds_below_a_base_path(start_server: StartServer) -> None:
    server = await start_server(base_path="/my/hub")
    diary = Diary(make_person(server, "victim"), make_person(server, "stranger"))
    connections = Connections(server)
    await diary.register(connections.connect)
    origin = server.url.removesuffix("/my/hub")
    mount = f"/{diary.victim.workspace}/apps/dash/"
    browser = {"user-agent": "Mozilla/5.0", "cookie": f"access_token={diary.victim.token}"}
    step = {**browser, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    async with httpx.AsyncClient(base_url=server.url) as http:

        async def status(path: str, headers: dict[str, str], **more: str) -> int:
            return (await http.get(path, headers={**headers, **more})).status_code

        assert await status(mount, step, **{"sec-fetch-site": "none"}) == 200
        assert await status(f"{mount}x", step, **{"sec-fetch-site": "none"}) == 403
        assert await status(f"{mount}x", browser, referer=f"{server.url}{mount}y") == 200
        assert await status(f"{mount}x", browser, referer=f"{origin}{mount}y") == 403
        script = {"x-hypha-page": "1", "referer": f"{server.url}/public/"}
        assert await status(f"/{diary.victim.workspace}/info", browser, **script) == 200
        assert await status(f"/{diary.victim.workspace}/info", browser) == 403
    await connections.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "hub.test"])
async def test_sockets_of_an_application_are_the_visitors_from_this_origin_only(
    server: ServerProcess, diary: Diary, page: Page, elsewhere: Elsewhere, host: str
) -> None:
    desk = f"{host}:{server.port}/{diary.victim.workspace}/apps/desk/"
    open_socket = "new WebSocket(args.url);"
    own = f"http://{host}:{server.port}/static/LICENSES.txt"
    port = elsewhere.port
    others = [
        f"http://127.0.0.1:{port}/",
        f"http://www.hub.test:{port}/",
        own.replace("/static/LICENSES.txt", diary.app_path),
    ]
    for number, stand in enumerate((own, *others)):
        await page.open(stand)
        await page.run(open_socket, url=f"ws://{desk}socket-{host}-{number}")
        caller = await diary.caller(f"app socket-{host}-{number}")
        assert caller == (diary.victim.id if stand == own else "anonymouz-http"), stand
