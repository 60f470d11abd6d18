"""Artifacts as pages: `/{workspace}/view/{alias}`, its templates, its sandbox, and the server's own page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess
from tests.kit.clients import Connect
from tests.kit.people import Person, make_person

PUBLIC = {"permissions": {"*": "r"}}
OPENED = {  # what a browser sends when a person opens an address
    "User-Agent": "Mozilla/5.0",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Upgrade-Insecure-Requests": "1",
}


class Site:
    """A person whose artifacts are pages."""

    def __init__(self, owner: Person, client: Any, artifacts: Any, http: httpx.AsyncClient) -> None:
        self.owner, self.client, self.artifacts, self.http = owner, client, artifacts, http
        self.auth = {"Authorization": f"Bearer {owner.token}"}

    async def make(self, alias: str, files: dict[str, str], view: Any = None, **config: Any) -> None:
        config = {**PUBLIC, **config} | ({} if view is None else {"view_config": view})
        manifest = {"name": f"<{alias}>", "description": "What it is.", "tags": ["a & b"]}
        await self.artifacts.create(alias=alias, manifest=manifest, config=config, stage=True)
        for path, content in files.items():
            await self.artifacts.write_file(alias, path, content)
        await self.artifacts.commit(alias)

    async def see(self, path: str, *, method: str = "GET", **headers: str) -> httpx.Response:
        return await self.http.request(method, f"/{self.owner.workspace}/view/{path}", headers=headers)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(server: ServerProcess, module_connect: Connect) -> AsyncIterator[Site]:
    owner = make_person(server, "webmaster")
    client = await module_connect(owner)
    artifacts = await client.get_service("public/artifact-manager")
    async with httpx.AsyncClient(base_url=server.url) as http:
        yield Site(owner, client, artifacts, http)


@pytest.mark.spec("artifacts-C2.7")
async def test_templates_are_rendered_and_other_files_sent_as_they_are(site: Site) -> None:
    page = (
        "{{ artifact.manifest.name }}|{{ view_base_url }}|{{ workspace }}|{{ metadata.answer }}|{{ user.id }}"
    )
    files = {
        "index.html": page,
        "bad.html": "a\n{{ ''.__class__.__mro__ }}",
        "app.js": "{{ 1 }}",
        "b/c.txt": "c",
    }
    view = {
        "templates": ["index.html", "bad.html"],
        "metadata": {"answer": 42},
        "headers": {
            "X-Own": "1",
            "Cache-Control": "max-age=60",
            "Set-Cookie": "a=b",
            "X-Accel-Redirect": "/",
        },
    }
    await site.make("shown", files, view)
    base = f"{str(site.http.base_url).rstrip('/')}/{site.owner.workspace}/view/shown"
    for path in ("shown", "shown/", "shown/index.html"):
        found = await site.see(path)
        name, address, workspace, answer, user = found.text.split("|")
        assert (name, workspace, answer) == ("&lt;shown&gt;", site.owner.workspace, "42")
        assert address == base
        assert user == "anonymouz-http" and found.headers["content-type"] == "text/html; charset=utf-8"
    sent = found.headers
    assert (sent["x-own"], sent["cache-control"]) == ("1", "max-age=60")
    assert "set-cookie" not in sent and "x-accel-redirect" not in sent
    bad = await site.see("shown/bad.html")
    assert (bad.status_code, "line 2" in bad.json()["detail"]) == (422, True)
    script = await site.see("shown/app.js", Range="bytes=0-1")
    assert (script.status_code, script.text, script.headers["x-own"]) == (206, "{{", "1")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    head = await site.see("shown", method="HEAD")
    assert (head.status_code, head.content) == (200, b"") and int(head.headers["content-length"]) > 50
    for missing in ("shown/x", "shown/b", "shown/b/", "nope", "shown/..%2f..%2fx"):
        assert (await site.see(missing)).status_code in (400, 404)
    assert (await site.see("shown", method="POST")).status_code == 405
    before = (await site.artifacts.read("shown", silent=True))["view_count"]
    await site.see("shown/app.js")
    await site.see("shown", method="HEAD")
    assert (await site.artifacts.read("shown", silent=True))["view_count"] == before + 1


async def test_pages_are_in_a_sandbox_of_their_own(site: Site) -> None:
    policy = {"Content-Security-Policy": "default-src 'self'"}
    files = {"index.html": "<script src=app.js></script>", "app.js": "", "pic.svg": "<svg/>"}
    await site.make("fenced", files, {"headers": policy})
    for path in ("fenced/", "fenced/app.js", "fenced/pic.svg"):
        sent = (await site.see(path, Origin="null")).headers
        policies = sent.get_list("content-security-policy")
        assert any(policy.startswith("sandbox ") for policy in policies), path
        assert not any("allow-same-origin" in policy for policy in policies)
        assert sent["x-content-type-options"] == "nosniff"
        assert "access-control-allow-credentials" not in sent
        assert sent["access-control-allow-origin"] == "null"  # what the page itself is made of


async def test_an_old_version_opens_nothing_that_is_closed_now(site: Site) -> None:
    await site.make("was-open", {"index.html": "old"})
    owner = {"permissions": {site.owner.id: "*", "*": "r"}}
    closed = {**owner, "view_config": "disabled"}
    await site.artifacts.edit("was-open", config=closed, version="new")
    for path in (
        "was-open",
        "was-open?version=v0",
        "was-open/index.html?version=0",
        "was-open/?version=latest",
    ):
        assert (await site.see(path)).status_code == 404, path
    old, now = [await site.artifacts.read("was-open", version=name) for name in ("v0", "v1")]
    assert "view_config" not in old["config"] and now["config"]["view_config"] == "disabled"
    assert old["_permissions"] == now["_permissions"]  # who may do what is told as it is
    assert old["config"]["permissions"] == now["config"]["permissions"] == owner["permissions"]
    await site.artifacts.edit("was-open", config={})
    assert "permissions" not in (await site.artifacts.read("was-open", version="v0"))["config"]


@pytest.mark.spec("artifacts-C2.8")
async def test_without_pages_the_server_shows_its_own(site: Site) -> None:
    await site.make("off", {"index.html": "x"}, "disabled")
    off = await site.see("off")
    assert (off.status_code, off.json()["detail"]) == (404, "View access is disabled for this artifact")
    await site.artifacts.create(alias="empty", manifest={"name": "Nothing here"}, config=PUBLIC)
    own = await site.see("empty")
    assert own.status_code == 200 and "Nothing here" in own.text
    await site.make("data", {"a & b.txt": "hello", "sub/c.txt": "c"})
    own = await site.see("data/")
    assert "<script" not in own.text and "default-src 'none'" in own.headers["content-security-policy"]
    assert "&lt;data&gt;" in own.text and "<data>" not in own.text and "a &amp; b" in own.text
    assert 'href="../../artifacts/data/files/a%20%26%20b.txt"' in own.text
    assert 'href="../../artifacts/data/create-zip-file"' in own.text
    inner = await site.see("data/?folder=sub")
    assert 'href="../../artifacts/data/files/sub/c.txt"' in inner.text
    for path, status in (("data/?folder=../x", 400), ("data/?folder=nothing", 404)):
        assert (await site.see(path)).status_code == status
    await site.make("forced", {"index.html": "own page"}, {"use_builtin_template": True})
    assert "own page" not in (await site.see("forced/")).text
    await site.make("rooted", {"web/index.html": "in the root", "x.txt": ""}, {"root_directory": "/web"})
    assert (await site.see("rooted/")).text == "in the root"
    assert (await site.see("rooted/x.txt")).status_code == 404


@pytest.mark.spec("artifacts-C2.11")
async def test_what_is_staged_or_private_is_shown_to_those_who_may_see_it(site: Site) -> None:
    await site.make("hidden", {"index.html": "old"}, permissions={})
    await site.artifacts.edit("hidden", version="new", stage=True, config={"permissions": {"*": "r"}})
    await site.artifacts.write_file("hidden", "index.html", "new")
    assert (await site.see("hidden/")).status_code == 403
    assert (await site.see("hidden/", **site.auth)).text == "old"
    assert (await site.see("hidden/?stage=true", **site.auth)).text == "new"
    await site.artifacts.commit("hidden")
    assert (await site.see("hidden/")).text == "new"
    assert (await site.see("hidden/?version=v0")).text == "old"
    assert (await site.see("hidden/?version=v7")).status_code == 404
    await site.artifacts.edit("hidden", version="new", stage=True)
    assert (await site.see("hidden/?stage=true")).status_code == 403


async def test_a_browser_is_led_to_where_links_are_right_and_brings_no_strong_token(site: Site) -> None:
    await site.make("led", {"index.html": "a page"}, permissions={})
    led = await site.see("led?version=v0", **OPENED)
    assert (led.status_code, led.headers["location"]) == (307, "led/?version=v0")
    refused = await site.see(f"led/?token={site.owner.token}", **OPENED)
    assert refused.status_code == 400 and "its pages would learn it" in refused.json()["detail"]
    assert (await site.see(f"led/?token={site.owner.token}")).text == "a page"
    for words, status in (
        ([f"get_file:{site.owner.workspace}/led:*"], 200),
        ([f"get_file:{site.owner.workspace}/led:*", f"get_file:{site.owner.workspace}/other:*"], 400),
        ([f"get_file:{site.owner.workspace}/led:other.html"], 403),
    ):
        token = await site.client.generate_token({"permission": "read", "extra_scopes": words})
        assert (await site.see(f"led/?token={token}", **OPENED)).status_code == status


@pytest.mark.slow
async def test_a_template_without_end_is_ended(site: Site) -> None:
    loops = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    await site.make("endless", {"index.html": loops}, {"templates": ["index.html"]})
    ended = await site.see("endless/")
    assert (ended.status_code, "computes for too long" in ended.json()["detail"]) == (422, True)
