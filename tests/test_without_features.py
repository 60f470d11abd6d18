"""Deleting a feature's folder and its line leaves a server that starts, and a green suite.

Everything happens in a copy, without what belongs to the feature in tests: `tests/unit/features/<name>`,
`tests/faults/bounds/features/<name>.py` and `tests/docs/test_<name>_page.py`. Pages of `docs/` that are
generated are generated anew.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hypha.assembly.features import in_order, listed_features
from hypha.features import FEATURES

ROOT = Path(__file__).resolve().parents[1]
COPIED = (
    "hypha", "tests", "tools", "docs", "deploy", "docker-compose", "helm-charts",
    "pyproject.toml", "Makefile", "ARCHITECTURE.md", "CONTRIBUTING.md",
    "CHANGELOG.md", "README.md", "LICENSE", "requirements.lock", "requirements-dev.lock",
    "requirements-clients.lock", "requirements-image.lock",
)  # fmt: skip
LEFT_OUT = shutil.ignore_patterns("node_modules")
BOUNDS = "tests/faults/bounds/test_every_bound.py"
BOUND_ATTACKS = f"{BOUNDS}::test_an_attack_ends_at_the_bound"
QUICK = (
    "tests/unit/features/test_plug.py", "tests/unit/test_server.py", "tests/unit/store/test_schema.py",
    BOUNDS, "-k", "test_plug or test_made_application or test_migrations_give or test_every_bound_is",
)  # fmt: skip
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
    environment = {**os.environ, "PYTHONPATH": str(folder)}
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


def features_in(path: Path) -> set[str]:
    """The features without which a file of tests cannot be imported: their modules, or tests of them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        for name in names:
            parts = re.match(r"(?:hypha|tests\.unit|tests\.faults\.bounds)\.features\.(\w+)", module + name)
            found |= {parts[1]} if parts else set()
    return found & set(FEATURES)


def owner_of(path: Path) -> str | None:
    """The feature with which a file of tests is deleted."""
    name = path.relative_to(ROOT / "tests").as_posix()
    found = re.match(r"(?:unit|faults/bounds)/features/(\w+)|docs/test_(\w+)_page", name)
    return next((each for each in FEATURES if found and each in found.groups()), None)


def test_no_file_of_tests_needs_a_feature_that_can_go_without_it() -> None:
    gone_with = {name: with_those_that_need(name) for name in FEATURES}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if "node_modules" not in path.parts
        for name in features_in(path)
        if owner_of(path) not in gone_with[name]
    ]
    assert not wrong, "\n".join(wrong)
    own = [path for path in (ROOT / "tests/unit/features").rglob("*.py") if features_in(path)]
    assert len(own) >= len([name for name in FEATURES if (ROOT / "tests/unit/features" / name).is_dir()])


def test_nothing_outside_the_features_imports_one() -> None:
    outside = [path for path in sorted((ROOT / "hypha").rglob("*.py")) if "features" not in path.parts]
    assert len(outside) > 200
    wrong = [f"{path.relative_to(ROOT)} imports {name}" for path in outside for name in features_in(path)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", FEATURES)
def test_without_a_feature_the_server_starts_and_old_databases_are_migrated(
    name: str, tmp_path: Path
) -> None:
    output = run_tests(without(name, tmp_path), "-x", *QUICK, timeout_s=110)
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
