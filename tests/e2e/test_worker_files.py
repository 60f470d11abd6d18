"""`python -m hypha.workers FILE`: files of one's own, run as clients of a server."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from hypha.testing import ServerProcess
from tests.e2e.own_files import command, run
from tests.kit.clients import Connect
from tests.kit.people import Person

GUIDE = Path(__file__).parent / "guide"
PLUGIN = """<config lang="json">{"name": "Adder", "type": "web-python"}</config>
<script lang="python">
    from hypha_rpc import api

    class Adder:
        async def setup(self):
            self.ready = (await api.echo("yes")) == "yes"

        def add(self, a, b):
            return a + b if self.ready else None

    api.export(Adder(), {"visibility": "public"})
</script>
"""
SCRIPT = "from hypha_rpc import api\nprint('running', __name__)\napi.export({'ping': lambda: 'pong'})\n"
WAITING = "found = await api.echo('found')\napi.export({'ping': lambda: found})\n"


async def test_a_plugin_serves_until_it_is_told_to_end(
    server: ServerProcess, connect: Connect, alice: Person, tmp_path: Path
) -> None:
    (tmp_path / "adder.imjoy.html").write_text(PLUGIN)
    words, variables = command(server, tmp_path / "adder.imjoy.html", alice)
    process = await asyncio.create_subprocess_exec(*words, env=variables, stdout=subprocess.PIPE)
    assert process.stdout is not None
    lines = [(await process.stdout.readline()).decode() for _ in range(2)]
    assert lines == [f"Service registered: {alice.workspace}/own-file:default\n", "Ready\n"]
    client = await connect(alice)
    service = await client.get_service("own-file:default")
    assert await service.add(20, 22) == 42
    assert service.config.visibility == "public"
    process.terminate()
    assert await process.wait() == 0


@pytest.mark.parametrize(
    ("text", "said"), [(SCRIPT, "running __main__\n"), (WAITING, "")], ids=["runs", "waits"]
)
async def test_a_script_that_exports_is_registered_and_ends_when_it_is_ready(
    text: str, said: str, server: ServerProcess, alice: Person, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(text)
    ended = await asyncio.to_thread(run, server, tmp_path / "own.py", alice, "--quit-on-ready")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{said}Service registered: {alice.workspace}/own-file:default\nReady\n"


async def test_the_workers_of_the_guide_run(server: ServerProcess, alice: Person) -> None:
    ended = await asyncio.to_thread(run, server, GUIDE / "custom_worker.py", alice, "--quit-on-ready")
    assert ended.returncode == 0 and ended.stdout.endswith("Ready\n"), ended.stderr
