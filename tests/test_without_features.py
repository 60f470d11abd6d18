"""Deleting a feature's folder and its line leaves a server that starts, and tests that can be collected.

Everything happens in a copy; tests of the feature itself, `tests/unit/features/<name>`, are left out of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hypha.features import FEATURES

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("hypha", "tests", "pyproject.toml")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "node_modules", "e2e", "faults", "docs")
QUICK = "test_plug or test_made_application or test_migrations_give"
"""The server starts, serves and stops, features find each other, old databases are migrated."""


def without(name: str, folder: Path) -> Path:
    """A copy of the repository in which a feature was deleted."""
    for part in COPIED:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=LEFT_OUT)
        else:
            shutil.copy(ROOT / part, folder / part)
    shutil.rmtree(folder / "hypha/features" / name)
    shutil.rmtree(folder / "tests/unit/features" / name, ignore_errors=True)
    listed = folder / "hypha/features/__init__.py"
    line = f'    "{name}",\n'
    assert listed.read_text().count(line) == 1
    listed.write_text(listed.read_text().replace(line, ""))
    return folder


def run_tests(folder: Path, *arguments: str, timeout_s: float) -> str:
    """The output of the suite in a copy, which must pass."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", FEATURES)
def test_without_a_feature_all_tests_are_there_and_the_quick_ones_pass(name: str, tmp_path: Path) -> None:
    output = run_tests(without(name, tmp_path), "tests/unit", "-k", QUICK, timeout_s=290)
    assert " passed" in output and " deselected" in output
