"""What the image is built from: the Dockerfile's steps, done in a clean folder as far as that goes here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hypha.testing import ServerProcess

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
HEALTH = ROOT / "deploy" / "health.py"


def port_of(command: str, environment: dict[str, str]) -> str:
    scope: dict[str, object] = {"__name__": "health"}
    exec(compile(HEALTH.read_text(), str(HEALTH), "exec"), scope)
    found = scope["port_of"](command, environment)  # type: ignore[operator]
    return str(found)


def test_it_runs_as_nobody_special_is_stopped_well_and_listens_for_others() -> None:
    assert re.search(r"^USER 8877$", DOCKERFILE, re.MULTILINE)
    assert "STOPSIGNAL SIGTERM" in DOCKERFILE
    assert 'CMD ["python", "-m", "hypha.server", "--host=0.0.0.0", "--port=9520", "--from-env"]' in DOCKERFILE
    assert "HEALTHCHECK" in DOCKERFILE and "VOLUME /data" in DOCKERFILE


def test_all_that_is_copied_is_let_through_to_the_builder() -> None:
    let_through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = {
        word.removeprefix("./")
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()[:-1]
    }
    assert copied == let_through
    assert all((ROOT / each).exists() for each in copied)


def test_what_is_installed_is_locked_with_hashes_and_holds_every_part() -> None:
    assert "--require-hashes --requirement requirements-image.lock" in DOCKERFILE
    lock = (ROOT / "requirements-image.lock").read_text()
    for package in ("uvicorn", "asyncpg", "redis", "obstore", "playwright", "pyte", "authlib", "hatchling"):
        assert re.search(rf"^{package}==[\w.]+.*\\\n    --hash=", lock, re.MULTILINE), package
    everything = (ROOT / "requirements-dev.lock").read_text()
    pins = set(re.findall(r"^(\w[\w.-]*==\S+)", lock, re.MULTILINE))
    assert pins <= set(re.findall(r"^(\w[\w.-]*==\S+)", everything, re.MULTILINE)), "as the tests ran it"


@pytest.mark.parametrize(
    ("command", "environment", "port"),
    [
        ("python\0-m\0hypha.server\0--host=0.0.0.0\0--port=9527\0", {"HYPHA_PORT": "1"}, "9527"),
        ("python\0-m\0hypha.server\0--port\0" + "80\0", {}, "80"),
        ("python\0-m\0hypha\0", {"HYPHA_PORT": "9000"}, "9000"),
        ("python\0-m\0hypha.server\0", {}, "9520"),
    ],
)
def test_the_health_check_asks_the_port_of_the_command(
    command: str, environment: dict[str, str], port: str
) -> None:
    assert port_of(command, environment) == port


def test_the_health_check_tells_a_live_server_from_none(server: ServerProcess, tmp_path: Path) -> None:
    """With the command line of process 1 replaced by that of this server."""
    line = tmp_path / "cmdline"
    line.write_text(f"python\0--port={server.port}\0")
    script = tmp_path / "health.py"
    script.write_text(HEALTH.read_text().replace("/proc/1/cmdline", str(line)))
    assert subprocess.run([sys.executable, script], check=False).returncode == 0
    line.write_text("python\0--port=1\0")
    assert subprocess.run([sys.executable, script], check=False, capture_output=True).returncode == 1
