"""A folder with Pyodide and wheels, as an operator makes one: from the npm package and from PyPI."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NPM_PACKAGE = HERE.parent / "js" / "node_modules" / "pyodide"
WHEELS = HERE / "pyodide-wheels.txt"
_OF_BROWSERS = ("--platform", "pyemscripten_2026_0_wasm32", "--platform", "any", "--python-version", "314",
                "--implementation", "cp", "--abi", "cp314", "--abi", "none")  # fmt: skip


def pyodide_folder(folder: Path) -> Path:
    """Fill a folder."""
    shutil.copytree(NPM_PACKAGE, folder)
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--only-binary=:all:", *_OF_BROWSERS, "--require-hashes", "--requirement", WHEELS, "--dest", folder],
        check=True, timeout=300,
    )  # fmt: skip
    return folder
