"""Makes the page of an app out of its script: `index.html`, beside what was installed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files as resources
from typing import Any

PAGE_TYPES = ("window", "iframe", "web-worker", "web-python")
"""Types whose page is made here; `hypha` becomes `window`, `web-app` is somebody else's page."""
PAGE = "index.html"
SOURCE = "source"
_PASSED_ON = (
    "name", "source_hash", "version", "format_version", "type", "tags", "icon", "requirements", "env",
    "defaults", "flags", "inputs", "outputs", "dependencies", "app_id", "server_url",
    "description", "required_artifact_files",
)  # fmt: skip
_SCRIPTS = ("main.js", "main.py", "main.txt", SOURCE)

Files = list[dict[str, Any]]


def compiled(manifest: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], Files]:
    """The manifest and the files of an app, with a page to open.

    An app that brings a page, or is one of another server, stays as it is.

    Raises:
        ValueError: there is no script.
    """
    manifest, kept = dict(manifest), [dict(file) for file in files]
    if manifest.get("type") == "hypha":
        manifest["type"] = "window"
    entry = manifest.get("entry_point")
    if manifest["type"] not in PAGE_TYPES or (isinstance(entry, str) and entry.endswith((".html", ".htm"))):
        return manifest, kept
    _check_requirements(manifest)
    script = _script(entry, kept)
    kept = [file for file in kept if file.get("name") != PAGE]
    kept.append(_file(PAGE, _page(manifest, script)))
    if not any(file.get("name") == SOURCE for file in kept):
        kept.append(_file(SOURCE, script))
    manifest["entry_point"] = PAGE
    return manifest, kept


def _check_requirements(manifest: Mapping[str, Any]) -> None:
    """Refuse lists that are none, and files for a script that has no folder.

    Raises:
        ValueError: so it is.
    """
    for field in ("requirements", "required_artifact_files"):
        asked = manifest.get(field) or []
        if not isinstance(asked, list) or not all(isinstance(each, str) and each for each in asked):
            raise ValueError(f"{field} is a list of texts.")
    needed = manifest.get("required_artifact_files")
    if needed and manifest["type"] != "web-python":
        raise ValueError(f"required_artifact_files are for web-python, not for {manifest['type']}.")
    if any(".." in path.split("/") or path.startswith("/") for path in needed or []):
        raise ValueError("required_artifact_files are paths of the app's own files, such as data/a.csv.")


def _script(entry: object, files: Sequence[Mapping[str, Any]]) -> str:
    texts = {
        str(file.get("name") or file.get("path")): file.get("content")
        for file in files
        if file.get("format", "text") == "text"
    }
    for name in (entry, *_SCRIPTS):
        content = texts.get(name) if isinstance(name, str) else None
        if isinstance(content, str) and content.strip():
            return content
    raise ValueError("The app has no script: give a source, or a file that entry_point names.")


def _page(manifest: Mapping[str, Any], script: str) -> str:
    app = {key: manifest[key] for key in _PASSED_ON if manifest.get(key) is not None} | {"script": script}
    kind = manifest["type"]
    code = _part("shared.js")
    if kind == "web-python":
        inside = f"const PYTHON_SCRIPT = {_json(_part('in-python.py'))};\n" + code + _part("in-python.js")
        code = f"const WORKER_SCRIPT = {_json(inside)};\n" + _part("web-worker.js")
    elif kind == "web-worker":
        code = f"const WORKER_SCRIPT = {_json(code + _part('in-worker.js'))};\n" + _part("web-worker.js")
    else:
        code += _part("window.js")
    title = escape(str(manifest.get("name") or "App"))
    page = _part("page.html").replace("{{title}}", title, 1)
    head, _, rest = page.partition("{{app}}")
    before, _, after = rest.partition("{{script}}")
    return f"{head}{_json(app)}{before}{code}{after}"


def _json(value: object) -> str:
    """JSON that may stand inside a script element: no `</script>` and no `<!--` in it."""
    return json.dumps(value, ensure_ascii=False, default=str).replace("<", "\\u003c")


def _part(name: str) -> str:
    return resources(__package__).joinpath("pages", name).read_text("utf-8")


def _file(name: str, content: str) -> dict[str, Any]:
    return {"name": name, "path": name, "content": content, "format": "text"}
