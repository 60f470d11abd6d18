"""Asking `doctor` about settings of which all but a few are good."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from hypha.cli.doctor import diagnose
from hypha.configuration import get_argparser
from hypha.findings import Finding, Grade

FLAGS = [
    "--public-base-url=https://hub.example",
    "--apps-origin=https://hub-apps.example",
    "--trusted-proxies=127.0.0.1",
    "--allow-origins=https://hub.example",
    "--port=0",
    "--from-env",
]
ENVIRONMENT = {
    "HYPHA_ROOT_TOKEN": secrets.token_hex(32),
    "HYPHA_ALLOW_ANONYMOUS": "false",
    "HYPHA_SIGN_UP": "invitation",
    "HYPHA_SMTP_HOST": "mail.hub.example",
    "HYPHA_VERIFICATION_FROM_EMAIL": "hub@hub.example",
}
"""Settings for the internet in which nothing is risky."""


@pytest.fixture
def doctor_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, without variables of ours."""
    for name in [name for name in os.environ if name.startswith("HYPHA_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*flags: str, without: str = "", **environment: str) -> list[Finding]:
    """Findings for the good settings, changed by some."""
    kept = [flag for flag in FLAGS if not without or not flag.startswith(without)]
    return diagnose(get_argparser().parse_args([*kept, *flags]), {**ENVIRONMENT, **environment})


def bad(*flags: str, without: str = "", **environment: str) -> list[Finding]:
    return [each for each in found(*flags, without=without, **environment) if each.grade > Grade.NOTE]


def state_of(folder: Path) -> dict[Path, tuple[int, int]]:
    """When each file below a folder was written last, and its mode."""
    return {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in folder.rglob("*")}
