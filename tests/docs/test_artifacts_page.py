"""The examples of docs/artifacts.md run as they are printed, and it names what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hypha.testing import ServerProcess
from tests.kit.people import Person, make_person

LEVELS = pytest.importorskip("hypha.features.artifacts.permissions").LEVELS
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "artifacts.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- example: (\S+) -->\n```python\n(.*?)```", PAGE, re.S))


@pytest.fixture(scope="module")
def person(server: ServerProcess) -> Person:
    return make_person(server, "reader")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("first.py", ["{workspace}/leaves v0 2", "an oak leaf"]),
        ("versions.py", ["first", "better", "v0 ['a.txt']", "2.0 ['b.txt']"]),
    ],
)
def test_the_examples_run_as_printed(
    server: ServerProcess, person: Person, tmp_path: Path, name: str, expected: list[str]
) -> None:
    (tmp_path / name).write_text(EXAMPLES[name])
    command = [sys.executable, name, server.url, person.token]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    printed = [line for line in done.stdout.splitlines() if line and not line.startswith("WARNING")]
    assert printed == [line.format(workspace=person.workspace) for line in expected]


def test_every_level_is_explained() -> None:
    table = PAGE.partition("| level | gives |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z*+]+)`", table))
    assert {level for level in LEVELS if "v" not in level} <= named
