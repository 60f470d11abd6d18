"""The README's hello world runs as it is printed, against a real server."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypha.testing import ServerProcess
from tests.docs.pages import ROOT
from tests.kit.processes import DEADLINE_S, read_line

NODE_MODULES = ROOT / "tests" / "js" / "node_modules"
PRINTED_URL = "http://127.0.0.1:9527"
EXAMPLE = re.compile(r"<!-- example: (\S+) -->\n```\w+\n(.*?)```", re.S)


def examples() -> dict[str, str]:
    """File name -> text of every example of the README."""
    return dict(EXAMPLE.findall((ROOT / "README.md").read_text()))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    running = ServerProcess(env={"HYPHA_LOGLEVEL": None})
    try:
        yield running.start().url
    finally:
        running.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, url: str) -> Path:
    """The examples as files, pointed at the test's server."""
    folder = tmp_path_factory.mktemp("readme")
    for name, text in examples().items():
        assert PRINTED_URL in text
        (folder / name).write_text(text.replace(PRINTED_URL, url))
    return folder


@pytest.fixture(scope="module")
def service_id(folder: Path) -> Iterator[str]:
    """The service of `service.py`, running in a process of its own."""
    command = [sys.executable, str(folder / "service.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + DEADLINE_S
            line = ""
            while not line.startswith("Registered ") and time.monotonic() < deadline:
                line = read_line(process)
                assert line, "service.py printed nothing"
            yield line.removeprefix("Registered ").strip()
        finally:
            process.kill()


def run(folder: Path, name: str, service_id: str, *command: str) -> str:
    file = folder / name
    file.write_text(file.read_text().replace("SERVICE_ID", service_id))
    done = subprocess.run(
        [*command, str(file)], capture_output=True, text=True, cwd=folder, timeout=DEADLINE_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("name", "greeting"),
    [("call_async.py", "Hello asynchronous world!"), ("call_sync.py", "Hello synchronous world!")],
)
def test_python_calls(folder: Path, service_id: str, name: str, greeting: str) -> None:
    assert greeting in run(folder, name, service_id, sys.executable)


@pytest.mark.node
def test_javascript_calls(folder: Path, service_id: str) -> None:
    if not shutil.which("node") or not NODE_MODULES.is_dir():
        pytest.skip("Node.js or the npm packages of tests/js are not installed")
    (folder / "node_modules").symlink_to(NODE_MODULES)
    assert "Hello JavaScript world!" in run(folder, "call.mjs", service_id, "node")


def test_curl_calls(folder: Path, service_id: str) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    assert run(folder, "call.sh", service_id, "sh") == '"Hello HTTP world!"'


def test_the_startup_function_of_the_running_page(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "running.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(blocks) == 1
    (tmp_path / "instruments.py").write_text(blocks[0])
    running = ServerProcess(flags=["--startup-functions", f"{tmp_path / 'instruments.py'}:setup"])
    try:
        url = running.start().url
        with urllib.request.urlopen(f"{url}/public/services/instrument/read", timeout=10) as answer:
            assert answer.read() == b"42"
    finally:
        running.close()


def test_no_example_is_left_out() -> None:
    blocks = (ROOT / "README.md").read_text().count("```") // 2
    assert blocks == len(examples()) + 1, "a block of the README is run by no test"
