"""The example of docs/app-ids.md runs as it is printed, and the page names every mode."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hypha.registry import balance
from hypha.testing import ServerProcess
from hypha.workspaces.app_ids import DEADLINE_S
from tests.kit.people import make_person

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "app-ids.md").read_text()


def test_the_example_runs_as_printed(server: ServerProcess, tmp_path: Path) -> None:
    pytest.importorskip("hypha.features.artifacts")
    (example,) = re.findall(r"<!-- example: \S+ -->\n```python\n(.*?)```", PAGE, re.S)
    (tmp_path / "application.py").write_text(example)
    command = [sys.executable, "application.py", server.url, make_person(server, "reader").token]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    printed = [line for line in done.stdout.splitlines() if line and not line.startswith("WARNING")]
    assert printed == ["4", "counter-1"]


def test_every_mode_is_explained() -> None:
    table = PAGE.partition("| mode | chooses |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z_:]+)`", table))
    plain = set(re.findall(r"'([a-z_:]+)'", balance.MODES)) - {"select:criteria:function"}
    assert plain | {"select:min:f", "select:max:f", "select:first_success:f"} <= named
    assert f"for {DEADLINE_S:g} s at most" in PAGE and f"({balance.MAX_ASKED} at most" in PAGE
    assert f"{balance.DEFAULT_SELECT_TIMEOUT_S:g} s each" in " ".join(PAGE.split())
