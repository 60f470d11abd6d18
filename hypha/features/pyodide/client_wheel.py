"""The Python client as a wheel for pages, made of the package that is installed here.

So a page has the version that the server has, and the operator nothing to fetch.
"""

from __future__ import annotations

import io
import zipfile
from importlib.metadata import distribution
from importlib.resources import files
from importlib.resources.abc import Traversable

PROJECT, _PACKAGE = "hypha-rpc", "hypha_rpc"
_TAGS = "Wheel-Version: 1.0\nGenerator: hypha\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def client_wheel() -> tuple[str, bytes]:
    """File name and content of the wheel."""
    installed = distribution(PROJECT)
    folder = f"{_PACKAGE}-{installed.version}.dist-info"
    told = [
        line
        for line in (installed.read_text("METADATA") or "").splitlines()
        # the client does without it, and PyPI has none for browsers
        if not line.lower().startswith("requires-dist: numpy")
    ]
    parts = {f"{_PACKAGE}/{name}": content for name, content in _contents(files(_PACKAGE))}
    parts |= {f"{folder}/METADATA": "\n".join(told).encode() + b"\n", f"{folder}/WHEEL": _TAGS.encode()}
    record = f"{folder}/RECORD"
    parts[record] = "".join(f"{name},,\n" for name in (*parts, record)).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name, _LONG_AGO), content, zipfile.ZIP_DEFLATED)
    return f"{_PACKAGE}-{installed.version}-py3-none-any.whl", buffer.getvalue()


def _contents(folder: Traversable, before: str = "") -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        if each.is_dir() and each.name != "__pycache__":
            found += _contents(each, f"{before}{each.name}/")
        elif each.is_file() and not each.name.endswith(".pyc"):
            found.append((before + each.name, each.read_bytes()))
    return found
