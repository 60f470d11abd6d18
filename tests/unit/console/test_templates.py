"""Apps to begin with: where they are served, and that each is one."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import httpx
import pytest

from hypha.console.routes import STATIC_FOLDER, TEMPLATES_FOLDER, Console
from hypha.gateways.http import HttpApplication
from tests.unit.gateways.http.fakes import FakeServer, services_of

NAMES = {
    "code", "javascript_app", "javascript_advanced", "python_app", "fastapi_app", "fastapi_advanced",
    "conda_jupyter_kernel", "mcp_server", "a2a_agent", "web_app", "web_python_kernel", "webcontainer",
}  # fmt: skip
FILES = sorted(TEMPLATES_FOLDER.iterdir())


def name_of(path: Path) -> str:
    return path.name.removesuffix("_template.hypha.html")


def test_there_are_those_that_are_documented() -> None:
    assert {name_of(path) for path in FILES} == NAMES


async def test_templates_are_served_as_texts() -> None:
    services = services_of(FakeServer(), base_path="/my/engine")
    app = HttpApplication(services, first=Console(services).first(), last=Console(services).last())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.test") as http:
        for path in FILES:
            answer = await http.get(f"/my/engine/ws/{path.name}")
            assert (answer.status_code, answer.text) == (200, path.read_text("utf-8"))
            assert answer.headers["content-type"].startswith("text/plain")
            assert answer.headers["x-content-type-options"] == "nosniff"
        for wrong in ("other_template.hypha.html", "code", "..%2fstatic%2fshared.js"):
            assert (await http.get(f"/my/engine/ws/{wrong}")).status_code == 404


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_template_holds_a_credential(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"(?i)password|secret|api_?key|bearer|authorization|eyJ|sk-", text)
    for found in re.finditer(r"(?i)token", text):
        assert text[found.start() - 2 : found.end() + 2].strip() in ('"token")', '"token"')


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_scripts_in_python_can_be_read(path: Path) -> None:
    script = re.search(r'<script lang="python">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)
    if script:
        compile(script[1], path.name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_page_lists_all_as_they_are() -> None:
    listed = re.findall(
        r'^  \["(\w+)", "(.+)", "([\w-]+)", "(.+)"\],$',
        (STATIC_FOLDER / "workspace" / "templates.js").read_text("utf-8"),
        re.MULTILINE,
    )
    assert {entry[0] for entry in listed} == NAMES
    for name, _, kind, about in listed:
        text = (TEMPLATES_FOLDER / f"{name}_template.hypha.html").read_text("utf-8")
        config = re.search(r"<config[^>]*>(.*?)</config>", text, re.DOTALL)
        lines = json.loads(config[1]) if config else dict(re.findall(r"^(\w+): (.+)$", text, re.MULTILINE))
        assert (lines["type"], lines["description"]) == (kind, about), name
