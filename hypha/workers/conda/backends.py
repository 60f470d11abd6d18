"""What makes environments: a package manager of conda's family where there is one, else uv."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hypha.workers.base import WorkerError, WorkerNotAvailableError
from hypha.workers.conda.pypi import for_pip, python_wanted
from hypha.workers.conda.requirements import Requirements

_FAMILY = ("mamba", "micromamba", "conda")
_PASSED = (
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NATIVE_TLS", "UV_OFFLINE", "CONDA_CHANNEL_ALIAS",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy",
    "no_proxy", "LANG", "LC_ALL",
)  # fmt: skip
"""The variables of the worker that a back end gets: packages run their own code while they are built."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a build, and what people are told of it."""

    told: str
    command: tuple[str, ...]


class Backend(Protocol):
    """Makes environments."""

    @property
    def name(self) -> str:
        """Of the program."""

    def steps(self, wanted: Requirements, prefix: Path) -> list[Step]:
        """The commands that make an environment in a folder which isn't there yet.

        Raises:
            WorkerError: it cannot make this one.
        """

    def explain(self, text: str) -> WorkerError | None:
        """What a failed command means, by what it printed, where that is known."""


@dataclass(frozen=True, slots=True)
class Uv:
    """Installs from PyPI into the interpreters that are here."""

    program: str

    @property
    def name(self) -> str:
        """Of the program."""
        return "uv"

    def steps(self, wanted: Requirements, prefix: Path) -> list[Step]:
        """A virtual environment, then all packages at once."""
        python = python_wanted(wanted) or sys.executable
        packages = for_pip(wanted)
        make = (self.program, "venv", "--no-python-downloads", "--python", python, str(prefix))
        install = (self.program, "pip", "install", "--python", str(python_in(prefix)), "--", *packages)
        return [
            Step("Making the environment with uv", make),
            Step(f"Installing {len(packages)} packages with uv", install),
        ]

    def explain(self, text: str) -> WorkerError | None:
        """An interpreter or a package that is not to be had."""
        flat = " ".join(text.split())
        if found := re.search(r"No interpreter found for ([^\n]{1,80}?) in ", flat):
            return WorkerError(f"{found[1]} is not installed where the worker runs: ask for another version.")
        if "Failed to inspect Python interpreter" in flat:
            return WorkerError(
                "The Python that is asked for does not run where the worker is: ask for another version."
            )
        if found := re.search(r"[Bb]ecause ([\w.-]{1,100}) was not found in the package registry", flat):
            return WorkerError(
                f"PyPI has no package {found[1]}. If it comes from a conda channel: mamba, micromamba or "
                "conda must be installed where the worker runs; here is uv."
            )
        return None


@dataclass(frozen=True, slots=True)
class CondaFamily:
    """mamba, micromamba or conda: packages of channels, then those of PyPI."""

    program: str
    name: str

    def steps(self, wanted: Requirements, prefix: Path) -> list[Step]:
        """An environment with an interpreter and all packages of channels, then what pip installs."""
        channels = [word for each in wanted.channels for word in ("--channel", each)]
        packages = [each.text for each in wanted.packages]
        if not any(each.name == "python" for each in wanted.packages):
            packages.insert(0, "python")
        make = ("create", "--yes", "--quiet", "--prefix", str(prefix), "--override-channels", *channels)
        steps = [
            Step(f"Installing {len(packages)} packages with {self.name}", (self.program, *make, *packages))
        ]
        if wanted.pip:
            install = (str(python_in(prefix)), "-m", "pip", "install", "--no-input", "--", *wanted.pip)
            steps.append(Step(f"Installing {len(wanted.pip)} packages with pip", install))
        return steps

    def explain(self, text: str) -> WorkerError | None:
        """What it prints is clear enough."""
        return None


def find_backend(variables: Mapping[str, str]) -> Backend:
    """The first of mamba, micromamba, conda and uv on the path; uv also beside this interpreter.

    Raises:
        WorkerNotAvailableError: there is none.
    """
    path = variables.get("PATH", os.defpath)
    for name in _FAMILY:
        if program := shutil.which(name, path=path):
            return CondaFamily(program, name)
    beside = str(Path(sys.executable).parent)
    if program := shutil.which("uv", path=os.pathsep.join((path, beside))):
        return Uv(program)
    raise WorkerNotAvailableError(
        "Nothing here makes environments: install mamba, micromamba, conda or uv (hypha-server[conda])."
    )


def python_in(prefix: Path) -> Path:
    """The interpreter of an environment."""
    return prefix / "bin" / "python"


def build_variables(variables: Mapping[str, str], home: Path, downloads: Path) -> dict[str, str]:
    """All that a command of a build finds in its environment. What was downloaded is kept for others."""
    passed = {name: variables[name] for name in _PASSED if name in variables}
    return passed | {
        "PATH": variables.get("PATH", os.defpath),
        "HOME": str(home),
        "TMPDIR": str(home),
        "UV_NO_PROGRESS": "1",
        "UV_CACHE_DIR": str(downloads / "uv"),
        "PIP_CACHE_DIR": str(downloads / "pip"),
        "CONDA_PKGS_DIRS": str(downloads / "conda"),
        "MAMBA_ROOT_PREFIX": str(downloads / "mamba"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
