"""The operator's folder: Pyodide as it is published, and wheels beside it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

_LOCK = "pyodide-lock.json"
_NEEDED = ("pyodide.mjs", "pyodide.asm.wasm", "python_stdlib.zip", _LOCK)
_WHEEL = re.compile(r"([A-Za-z0-9._]+)-[A-Za-z0-9._+!]+(?:-[A-Za-z0-9_.]+){3,4}\.whl")
_RUNS = re.compile(r"[-_.]+")


def project_of(file_name: str) -> str | None:
    """The project of a wheel, as indexes write it (PEP 503); None of other files."""
    match = _WHEEL.fullmatch(file_name)
    return _RUNS.sub("-", match[1]).lower() if match else None


class PyodideFolder:
    """What is in the folder now: wheels that are added are found without a new start."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def missing(self) -> list[str]:
        """The files without which no Pyodide is there."""
        return [name for name in _NEEDED if not (self.path / name).is_file()]

    def wheels(self) -> dict[str, list[str]]:
        """The names of the wheels by project, in order."""
        found: dict[str, list[str]] = {}
        for name in sorted(os.listdir(self.path)):
            project = project_of(name)
            if project is not None:
                found.setdefault(project, []).append(name)
        return found

    def lock(self) -> dict[str, Any]:
        """Pyodide's own list of packages, without those whose files are not there."""
        lock: dict[str, Any] = json.loads((self.path / _LOCK).read_text("utf-8"))
        there = set(os.listdir(self.path))
        packages = lock.get("packages", {})
        lock["packages"] = {name: each for name, each in packages.items() if each.get("file_name") in there}
        return lock
