"""Browsers as programs: the worker, and plugins in JavaScript by `python -m hypha.workers FILE`."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from hypha.testing import ServerProcess
from hypha.workers.browser.chromium import NAMES, has_playwright
from tests.e2e.own_files import command, run
from tests.kit.clients import Connect
from tests.kit.people import Person

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        not has_playwright() or not any(map(shutil.which, NAMES)),
        reason="Chromium or playwright is not installed",
    ),
]
PLUGIN = """<config lang="yaml">
name: Adder
type: {type}
</config>
<script lang="javascript">
api.export({{ add: (a, b) => a + b, who: () => env.get("HYPHA_CLIENT_ID") }});
</script>
"""


@pytest.mark.parametrize("type", ["window", "web-worker"])
async def test_a_plugin_in_javascript_serves_until_it_is_told_to_end(
    server: ServerProcess, connect: Connect, alice: Person, tmp_path: Path, type: str
) -> None:
    (tmp_path / "adder.imjoy.html").write_text(PLUGIN.format(type=type))
    words, variables = command(server, tmp_path / "adder.imjoy.html", alice)
    process = await asyncio.create_subprocess_exec(*words, env=variables, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"Ready\n"
    client = await connect(alice)
    service = await client.get_service("own-file:default")
    assert (await service.add(20, 22), await service.who()) == (42, "own-file")
    process.terminate()
    assert await process.wait() == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PLUGIN.format(type="window").replace("api.export", "throw new Error('no luck');"), "no luck"),
        (PLUGIN.format(type="web-python"), "JavaScript is one of window"),
        ("<config>[]</config><script>1</script>", "is no object in JSON or YAML"),
    ],
)
async def test_a_plugin_that_fails_is_told(
    server: ServerProcess, alice: Person, tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "bad.hypha.html").write_text(text)
    ended = await asyncio.to_thread(run, server, tmp_path / "bad.hypha.html", alice)
    assert ended.returncode == 1 and words in ended.stderr and alice.token not in ended.stderr


async def test_the_worker_runs_as_a_program_and_its_browser_ends_with_it(
    server: ServerProcess, connect: Connect, alice: Person
) -> None:
    words, variables = command(server, "", alice, "--service-id", "pages", "--in-docker")
    words = [*words[:2], "hypha.workers.browser", *words[4:]]
    process = await asyncio.create_subprocess_exec(*words, env=variables, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert (
        await process.stdout.readline() == f"Worker registered: {alice.workspace}/own-file:pages\n".encode()
    )
    client = await connect(alice, method_timeout=60)
    worker = await client.get_service("pages")
    assert worker["type"] == "server-app-worker" and "web-python" in worker.supported_types
    session = f"{alice.workspace}/own-page"
    manifest = {"type": "web-app", "entry_point": f"{server.url}/health/readiness"}
    config = {
        "id": session, "app_id": "a", "workspace": alice.workspace, "client_id": "own-page",
        "server_url": server.url, "artifact_id": f"{alice.workspace}/a", "manifest": manifest,
    }  # fmt: skip
    await worker.start(config)
    assert await worker.execute(session, "1 + 2") == 3
    browsers = psutil.Process(process.pid).children(recursive=True)
    assert browsers
    process.terminate()
    assert await process.wait() == 0
    gone, alive = await asyncio.to_thread(psutil.wait_procs, browsers, 30)
    assert gone and not alive
