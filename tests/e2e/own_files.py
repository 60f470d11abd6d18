"""How tests run `python -m hypha.workers FILE`."""

from __future__ import annotations

import os
import subprocess
import sys

from hypha.testing import ServerProcess
from tests.kit.people import Person


def command(
    server: ServerProcess, file: object, person: Person, *more: str
) -> tuple[list[str], dict[str, str]]:
    words = [sys.executable, "-m", "hypha.workers", str(file), "--server-url", server.url]
    words += ["--workspace", person.workspace, "--client-id", "own-file", *more]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("HYPHA_")}
    return words, variables | {"HYPHA_TOKEN": person.token}


def run(server: ServerProcess, file: object, person: Person, *more: str) -> subprocess.CompletedProcess[str]:
    words, variables = command(server, file, person, *more)
    return subprocess.run(words, env=variables, capture_output=True, text=True, check=False, timeout=60)
