"""Write the lock files anew: what `make` installs, each release with the hashes of all its files.

Run by `make lock` in an environment of its own that holds `uv`. Versions stay as they are unless
`--upgrade` is given (`make lock ARGS=--upgrade`). The package index is the one that pip is set to.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
OLDEST_PYTHON = "3.11"
EXTRAS = ("dev", "oidc", "postgres", "redis", "s3", "terminal", "triton")
RUNTIME, EVERYTHING, TOOL = "requirements.lock", "requirements-dev.lock", "tools/lock-tool.lock"
IMAGE = "requirements-image.lock"
IMAGE_EXTRAS = ("browser", "conda", "oidc", "postgres", "redis", "s3", "terminal", "triton")
"""What the container image holds beside the server."""
CLIENTS = "requirements-clients.lock"
CLIENT_PACKAGES = "hypha-artifact>=0.2.5,<0.3\ntqdm>=4.67\n"
"""Other people's clients that tests run, without what they depend on: what they ask for of packages that the
server uses, too, must not decide about it."""
BUILD = "hatchling\neditables\n"
"""Builds the package itself, without an environment of its own into which pip would fetch anything."""


def main(options: list[str]) -> None:
    """Write the five files."""
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    compile_lock(EVERYTHING, ["pyproject.toml", "-", *extras], BUILD, options)
    compile_lock(RUNTIME, ["pyproject.toml", "-", "--constraint", EVERYTHING], BUILD, options)
    image = [word for extra in IMAGE_EXTRAS for word in ("--extra", extra)]
    compile_lock(IMAGE, ["pyproject.toml", "-", *image, "--constraint", EVERYTHING], BUILD, options)
    compile_lock(CLIENTS, ["-"], CLIENT_PACKAGES, [*options, "--no-deps"])
    compile_lock(TOOL, ["-"], "uv\n", options)


def compile_lock(name: str, sources: list[str], given: str, options: list[str]) -> None:
    """Write one file for all platforms and Python versions; `given` are further requirements."""
    line = [sys.executable, "-m", "uv", "pip", "compile", *sources, "--output-file", name, *options]
    line += ["--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes", "--no-annotate"]
    line += ["--quiet", "--custom-compile-command", "make lock"]
    subprocess.run(line, cwd=ROOT, input=given, text=True, check=True, env=environment())


def environment() -> dict[str, str]:
    """The index and certificates of pip's settings, as uv reads them."""
    env = dict(os.environ)
    for variable, setting in (("UV_DEFAULT_INDEX", "global.index-url"), ("SSL_CERT_FILE", "global.cert")):
        if variable not in env and (value := pip_setting(setting)):
            env[variable] = value
    return env


def pip_setting(name: str) -> str:
    """What pip is set to, by variable or file; empty for nothing."""
    variable = "PIP_" + name.partition(".")[2].replace("-", "_").upper()
    if os.environ.get(variable):
        return os.environ[variable]
    line = [sys.executable, "-m", "pip", "config", "get", name]
    return subprocess.run(line, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main(sys.argv[1:])
