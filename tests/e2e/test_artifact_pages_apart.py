"""A page of an artifact in the browser of somebody who is signed in: it does nothing in their name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hypha.testing import ServerProcess, eventually
from tests.e2e.visit import Visit
from tests.kit.clients import Connect
from tests.kit.people import make_person

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

ATTACK = """<!doctype html><title>?</title><script>
const tried = async (work) => { try { return await work(); } catch { return "refused"; } };
const json = (path, options) => tried(async () => (await fetch(path, options)).json());
(async () => {
  const secret = { credentials: "include", headers: { "x-hypha-page": "1" } };
  const found = {
    own: await tried(async () => (await fetch("data.txt")).text()),
    cookie: await tried(() => document.cookie),
    storage: await tried(() => sessionStorage.getItem("hypha.token") || "open"),
    user: await json("/assets/config.json", secret),
    plain: await json("/assets/config.json", { credentials: "include" }),
    files: await json("/VICTIM/files/", { credentials: "include" }),
    made: await json("/VICTIM/services/ws/set_env", {
      ...secret, method: "POST", body: JSON.stringify({ key: "taken", value: "1" }) }),
    posted: await json("/VICTIM/services/ws/set_env?key=taken&value=1", {
      method: "POST", mode: "no-cors", credentials: "include" }),
    frame: await tried(() => parent !== window && parent.document.title),
    worker: await tried(async () => Boolean(await navigator.serviceWorker.register("worker.js"))),
  };
  document.title = JSON.stringify(found);
})();
</script>"""


async def test_a_page_does_nothing_with_the_rights_of_its_visitor(
    visit: Visit, server: ServerProcess, connect: Connect
) -> None:
    attacker, victim = make_person(server, "attacker"), make_person(server, "victim")
    client = await connect(attacker)
    artifacts = await client.get_service("public/artifact-manager")
    config = {"permissions": {"*": "r"}}
    await artifacts.create(alias="trap", manifest={"name": "Trap"}, config=config, stage=True)
    page = ATTACK.replace("VICTIM", victim.workspace)
    for path, content in {"index.html": page, "data.txt": "own data", "worker.js": ""}.items():
        await artifacts.write_file("trap", path, content)
    await artifacts.commit("trap")
    mine = await connect(victim)
    await visit.page.command("Network.enable")
    cookie = {"name": "access_token", "value": victim.token, "url": server.url}
    await visit.page.command("Network.setCookie", **cookie)
    try:
        await visit.page.open(f"{server.url}/{attacker.workspace}/view/trap/")

        async def found() -> Any:
            title = str(await visit.page.run("return document.title;"))
            return json.loads(title) if title.startswith("{") else None

        await eventually(found, within_s=20)
        seen = await found()
    finally:
        await visit.page.command("Network.deleteCookies", name="access_token", url=server.url)
    assert seen["own"] == "own data"
    assert seen["cookie"] == seen["storage"] == seen["worker"] == "refused"
    assert victim.id not in json.dumps(seen)
    for name in ("files", "made"):
        assert seen[name] == "refused" or not seen[name].get("success", False), seen
    assert "taken" not in await mine.get_env()
