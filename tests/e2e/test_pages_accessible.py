"""Landing, API and login pages: what axe-core sees, at phone and desktop width, in light and dark."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hypha.testing import ServerProcess
from tests.e2e.visit import AXE, Visit

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(90),
    pytest.mark.skipif(
        not AXE.exists(), reason="the npm packages are missing: run `npm install` in tests/js"
    ),
]

SIZES = {"phone": (360, True), "desktop": (1280, False)}
CHECK = """
const found = async () => {
  const { violations } = await axe.run({ resultTypes: ["violations"] });
  const wide = document.documentElement.scrollWidth > innerWidth ? ["wider than the screen"] : [];
  const told = ({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 150)}`);
  return [...wide, ...violations.flatMap(told)];
};
for (const details of document.querySelectorAll("main details")) details.open = true;
const views = [...document.querySelectorAll(".view")];
if (!views.length) return await found();
const all = [];
for (const view of views) {
  for (const other of views) other.hidden = other !== view;
  for (const line of await found()) all.push(`${view.dataset.view}: ${line}`);
}
return all;
"""


@pytest_asyncio.fixture(loop_scope="session")
async def shown(visit: Visit, request: pytest.FixtureRequest) -> AsyncIterator[Visit]:
    """The visitor, with the screen and the colours that the test asks for."""
    size, scheme = request.param
    width, is_mobile = SIZES[size]
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": is_mobile}
    await visit.page.command("Emulation.setDeviceMetricsOverride", **screen)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    await visit.page.command("Emulation.setEmulatedMedia", features=features)
    yield visit
    await visit.page.command("Emulation.clearDeviceMetricsOverride")
    await visit.page.command("Emulation.setEmulatedMedia", features=[])


@pytest.mark.parametrize(
    "shown", [("phone", "dark"), ("desktop", "light"), ("desktop", "dark")], indirect=True, ids=":".join
)
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/", "Work queues"),
        ("/api-docs", "/{workspace}/services/{service}/{function}"),
        ("/public/apps/hypha-login/?key=abc", "Sign in"),
        ("/ws-nobody-here/", "Workspace"),
    ],
    ids=["landing", "api", "login", "empty-workspace"],
)
async def test_axe_finds_nothing_to_mend(shown: Visit, server: ServerProcess, path: str, text: str) -> None:
    await shown.page.open(server.url + path)
    await shown.shows(text)
    await shown.page.command("Runtime.evaluate", expression=AXE.read_text("utf-8"))
    assert await shown.page.run(CHECK) == []
