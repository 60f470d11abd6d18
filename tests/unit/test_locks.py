"""What `make` installs is named with its hashes, and nothing else is installed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LOCKS = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-clients.lock",
    "requirements-image.lock",
    "tools/lock-tool.lock",
)


def releases(name: str) -> dict[str, tuple[str, list[str]]]:
    """Project -> (version, hashes) of a lock file."""
    text = (ROOT / name).read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = {}
    for line in lines:
        match = re.match(r"([a-z0-9-]+)==([^\s;]+)( ; [^\\]*?)?\s+--hash", line)
        assert match, line[:80]
        found[match[1]] = (match[2], re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_release_is_exact_and_has_hashes(name: str) -> None:
    found = releases(name)
    assert found and all(hashes for _version, hashes in found.values())


def test_the_server_runs_with_the_releases_that_the_tests_ran_with() -> None:
    everything, runtime = releases("requirements-dev.lock"), releases("requirements.lock")
    assert runtime.items() <= everything.items()


def test_all_that_the_package_needs_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [need for needs in project["optional-dependencies"].values() for need in needs]
    for name, needs in (("requirements.lock", []), ("requirements-dev.lock", extras)):
        wanted = {
            re.split(r"[\[><=;]", need)[0].strip().lower().replace("_", "-")
            for need in [*project["dependencies"], *needs]
        }
        assert wanted - set(releases(name)) == {"hypha-server"} & wanted


def test_nothing_is_installed_without_its_hash() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    lines = [line for line in text.splitlines() if " install " in line and "npm" not in line]
    assert len(lines) == 3
    for line in lines:
        assert "--require-hashes" in line or "--no-deps --no-index --no-build-isolation" in line, line
