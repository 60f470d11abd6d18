"""The examples of docs/storage.md run as they are printed, and files lie where it says."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess
from tests.docs.pages import ROOT
from tests.kit.clients import Connections
from tests.kit.people import Person, make_person

pytest.importorskip("hypha.features.storage")
PAGE = (ROOT / "docs" / "storage.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- example: (\w+) -->\n```\w+\n(.*?)```", PAGE, re.S))


@pytest.fixture(scope="module")
def person(server: ServerProcess) -> Person:
    return make_person(server)


@pytest_asyncio.fixture
async def storage(server: ServerProcess, person: Person) -> Any:
    connections = Connections(server)
    client = await connections.connect(person)
    yield await client.get_service("public/s3-storage")
    await connections.close()


def run(*command: str, folder: Path, **variables: str) -> str:
    """What a program prints that ends well."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, cwd=folder, env={**os.environ, **variables}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_example_runs_as_printed(server: ServerProcess, person: Person, tmp_path: Path) -> None:
    program = EXAMPLES["files"].replace("http://localhost:9527", server.url).replace("TOKEN", person.token)
    (tmp_path / "files.py").write_text(program)
    lines = run(sys.executable, "files.py", folder=tmp_path).split("\n")
    assert [line for line in lines if line and not line.startswith("WARNING:")] == [
        "a,b", "1,2", "1,2", "file table.csv 8", "Directory deleted successfully: results",
    ]  # fmt: skip


async def test_the_example_of_parts_runs_as_printed(storage: Any) -> None:
    body = textwrap.indent(EXAMPLES["parts"], "    ")
    names: dict[str, Any] = {}
    exec(f"async def example(storage, http, pieces):\n{body}    return done\n", names)
    async with httpx.AsyncClient() as http:
        done = await names["example"](storage, http, [b"a" * 10, b"b"])
        assert done["success"]
        assert (await http.get(await storage.get_file("large.bin"))).content == b"a" * 10 + b"b"


async def test_the_commands_run_as_printed(server: ServerProcess, person: Person, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n")
    variables = {"TOKEN": person.token, "SERVER": server.url, "WORKSPACE": person.workspace}
    script = "set -e\n" + EXAMPLES["curl"].replace("curl ", "curl -sSf ").replace('"\n', '"; echo\n')
    said = await asyncio.to_thread(run, "bash", "-c", script, folder=tmp_path, **variables)
    put, got, _, listed, gone = said.strip().split("\n")
    assert '"success":true' in put and got == "a,b" and '"name":"table.csv"' in listed
    assert gone == '{"success":true}'


def test_the_files_lie_where_the_page_says(server: ServerProcess) -> None:
    assert "`objects/hypha-workspaces/<workspace>/`" in PAGE
    assert (server.data_dir / "objects/hypha-workspaces").is_dir()
