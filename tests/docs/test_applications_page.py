"""The application of docs/applications.md runs as it is printed, with what is mounted in it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hypha.testing import ServerProcess
from tests.docs.pages import ROOT
from tests.kit.processes import read_line

PRINTED_URL = "http://localhost:9527"
PAGE = ROOT / "docs" / "applications.md"


@pytest.fixture(scope="module")
def application(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the page's first example, running in a process of its own."""
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert found and PRINTED_URL in found[1]
    folder: Path = tmp_path_factory.mktemp("applications")
    (folder / "pictures").mkdir()
    (folder / "pictures" / "grüße.txt").write_text("from a file")
    (folder / "app.py").write_text(found[1].replace(PRINTED_URL, server.url))
    command = [sys.executable, "app.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        try:
            yield read_line(process).strip()
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", '{"hello":"world"}'),
        ("pictures/gr%C3%BC%C3%9Fe.txt", "from a file"),
        ("docs", "/apps/web/openapi.json"),
    ],
)
def test_routes_mounted_files_and_the_documentation_are_found(application: str, path: str, said: str) -> None:
    answer = httpx.get(application + path, timeout=30)
    assert answer.status_code == 200, answer.text
    assert said in answer.text
