"""Deleting a feature's folder and its line leaves a server that starts, and a green suite.

Everything happens in a copy, without what belongs to the feature in tests: `tests/unit/features/<name>`,
`tests/faults/bounds/features/<name>.py` and `tests/docs/test_<name>_page.py`. Pages of `docs/` that are
generated are generated anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hypha.assembly.features import in_order, listed_features
from hypha.features import FEATURES

ROOT = Path(__file__).resolve().parents[1]
COPIED = (
    "hypha", "tests", "tools", "docs", "pyproject.toml", "Makefile", "ARCHITECTURE.md", "CONTRIBUTING.md",
    "CHANGELOG.md", "README.md", "LICENSE", "requirements.lock", "requirements-dev.lock",
)  # fmt: skip
LEFT_OUT = shutil.ignore_patterns("__pycache__", "node_modules")
BOUNDS = "tests/faults/bounds/test_every_bound.py"
BOUND_ATTACKS = f"{BOUNDS}::test_an_attack_ends_at_the_bound"
QUICK = "test_plug or test_made_application or test_migrations_give or test_every_bound_is"
"""The server starts, serves and stops, features find each other, old databases are migrated."""
SUITE = ("tests/unit", "tests/docs", "tests/test_layers.py", "tests/test_circles.py", BOUNDS)


def with_those_that_need(name: str) -> list[str]:
    """A feature, and those that do not start without it: the server says that their lines must go too."""
    features = in_order(listed_features())  # those that provide first
    gone = [feature for feature in features if feature.name == name]
    for feature in features:
        provided = {kind for each in gone for kind in each.provides}
        if feature not in gone and provided & set(feature.needs):
            gone.append(feature)
    return [feature.name for feature in gone]


def without(name: str, folder: Path) -> Path:
    """A copy of the repository in which a feature was deleted, with those that need it."""
    for part in COPIED:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=LEFT_OUT)
        else:
            shutil.copy(ROOT / part, folder / part)
    listed = folder / "hypha/features/__init__.py"
    for deleted in with_those_that_need(name):
        shutil.rmtree(folder / "hypha/features" / deleted)
        shutil.rmtree(folder / "tests/unit/features" / deleted, ignore_errors=True)
        (folder / "tests/faults/bounds/features" / f"{deleted}.py").unlink(missing_ok=True)
        (folder / f"tests/docs/test_{deleted}_page.py").unlink(missing_ok=True)
        line = f'    "{deleted}",\n'
        assert listed.read_text().count(line) == 1
        listed.write_text(listed.read_text().replace(line, ""))
    return folder


def run(folder: Path, *arguments: str, timeout_s: float) -> str:
    """The output of Python in a copy, which must succeed."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def run_tests(folder: Path, *arguments: str, timeout_s: float) -> str:
    """The output of tests in a copy, which must pass."""
    return run(
        folder, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *arguments, timeout_s=timeout_s
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", FEATURES)
def test_without_a_feature_all_tests_are_there_and_the_quick_ones_pass(name: str, tmp_path: Path) -> None:
    folder = without(name, tmp_path)
    output = run_tests(folder, "-x", "tests/unit", BOUNDS, "-k", QUICK, timeout_s=290)
    assert " passed" in output and " deselected" in output


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", FEATURES)
def test_without_a_feature_the_tests_of_all_others_pass(name: str, tmp_path: Path) -> None:
    folder = without(name, tmp_path)
    run(folder, "tools/write_docs.py", timeout_s=60)
    output = run_tests(
        folder, "--maxfail=10", "-m", "not slow", *SUITE, "--deselect", BOUND_ATTACKS, timeout_s=1400
    )
    assert " passed" in output
