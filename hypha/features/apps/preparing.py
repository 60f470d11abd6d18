"""What is installed: a manifest and files, made of what the caller gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from hypha.errors import InvalidRequest

MAX_FILES = 1000
MAX_SOURCE_CHARS = 10 * 1024 * 1024
SERVER_KEYS = ("services", "service_ids")
"""What of a manifest only the server says, and refuses of others."""
_APP_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DATA_URL = re.compile(r"data:[^,]{0,200};base64,")
FORMATS = ("text", "json", "base64")


@dataclass(frozen=True, slots=True)
class AppFile:
    """One file, as it is written: `form` is `text`, `json` or `base64`."""

    path: str
    content: Any
    form: str = "text"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A manifest and files, by their paths."""

    manifest: dict[str, Any]
    files: dict[str, AppFile] = field(default_factory=dict)


def checked_app_id(app_id: object) -> str | None:
    """The id of an app, which may be left out.

    Raises:
        InvalidRequest: it cannot be one.
    """
    if app_id is None:
        return None
    if not isinstance(app_id, str) or not _APP_ID.fullmatch(app_id):
        raise InvalidRequest(
            f"Invalid app_id {str(app_id)[:100]!r}: use up to 64 letters, digits, '-' and '_'."
        )
    return app_id


def parse_source(source: object, manifest: object, files: object) -> Parsed:
    """What a caller gives, as a manifest and files.

    Raises:
        InvalidRequest: it cannot be an app.
    """
    if manifest is not None and not isinstance(manifest, Mapping):
        raise InvalidRequest("The manifest must be an object such as {'name': 'My app', 'type': 'window'}.")
    told = dict(manifest or {"name": "Untitled App", "version": "0.1.0", "type": "hypha"})
    told.pop("startup_context", None)
    for key in SERVER_KEYS:
        if key in told:
            raise InvalidRequest(f"The manifest must not hold {key!r}: the server sets it.")
    found = {each.path: each for each in parse_files(files)}
    if source is not None:
        if not isinstance(source, str) or len(source) > MAX_SOURCE_CHARS:
            raise InvalidRequest(f"The source is a text of up to {MAX_SOURCE_CHARS:,} characters.")
        path = told.get("entry_point") or "source"
        if not isinstance(path, str):
            raise InvalidRequest("entry_point of the manifest is the path of a file.")
        told["entry_point"] = path
        found[path] = AppFile(path, source)
    kind = told.get("type")
    if not isinstance(kind, str) or kind in ("", "application"):
        raise InvalidRequest(
            "The manifest needs a type that a worker runs, such as 'window' or 'python-eval'."
        )
    if kind == "hypha" and source is None:
        raise InvalidRequest("Apps of the type 'hypha' need a source.")
    return Parsed(told, found)


def parse_files(files: object) -> list[AppFile]:
    """The files that a caller or a compiling worker gives.

    Raises:
        InvalidRequest: one cannot be written.
    """
    if files is None:
        return []
    if not isinstance(files, list | tuple) or len(files) > MAX_FILES:
        raise InvalidRequest(
            f"files is a list of at most {MAX_FILES} objects such as {{'path': 'main.py', 'content': '…'}}."
        )
    return [_file_of(each) for each in files]


def _file_of(given: object) -> AppFile:
    path = (given.get("path") or given.get("name")) if isinstance(given, Mapping) else None
    if not isinstance(given, Mapping) or not isinstance(path, str) or not path:
        raise InvalidRequest("Each of the files needs a name or a path.")
    content, form = given.get("content"), given.get("format") or "text"
    if form not in FORMATS:
        raise InvalidRequest(f"Invalid format of the file {path[:200]}: use text, json or base64.")
    if form == "json" and not isinstance(content, str):
        return AppFile(path, content, "json")
    if not isinstance(content, str):
        raise InvalidRequest(f"The content of the file {path[:200]} must be a text.")
    if form == "json":
        try:
            orjson.loads(content)
        except orjson.JSONDecodeError:
            raise InvalidRequest(f"The content of the file {path[:200]} is no JSON.") from None
    if form == "base64":
        content = content[found.end() :] if (found := _DATA_URL.match(content)) else content
    return AppFile(path, content, form)
