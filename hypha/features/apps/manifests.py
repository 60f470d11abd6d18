"""Manifests of apps: what one starts from, what is refused in it, and what a look at it finds."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from hypha.errors import InvalidRequest
from hypha.features.apps.scaling import Scaling

UNTITLED, USUAL_VERSION, ANY_PAGE = "Untitled App", "0.1.0", "hypha"
BROWSER_TYPES = ("web-python", "web-worker", "window", "iframe", "hypha", "web-app")
KNOWN_TYPES = (
    *BROWSER_TYPES, "python-eval", "conda-jupyter-kernel", "python-env", "terminal", "k8s-pod", "mcp-server",
    "a2a-agent",
)  # fmt: skip
TRANSPORTS = ("streamable-http", "stdio", "sse")
_OF_SERVER = ("services", "service_ids")
"""What the server writes into manifests, and people may not."""
_GRANTED = "startup_context"
OF_SERVER = (*_OF_SERVER, _GRANTED)
"""What nobody else says, workers included."""
_APP_ID = re.compile(r"[A-Za-z0-9_-]*")
MAX_APP_ID_CHARS = 128
_TOLD_FINDINGS, _LOOKED_AT, _SHOWN_CHARS = 50, 100, 80


def check_app_id(app_id: object) -> str | None:
    """An app id as somebody chose it; None to have one made.

    Raises:
        InvalidRequest: it holds something else than letters, digits, `-` and `_`, or is too long.
    """
    if app_id is None or app_id == "":
        return None
    if not isinstance(app_id, str) or len(app_id) > MAX_APP_ID_CHARS or not _APP_ID.fullmatch(app_id):
        raise InvalidRequest(
            f"An app_id has up to {MAX_APP_ID_CHARS} letters a-z, digits, hyphens and underscores, not "
            f"{_shown(app_id)}."
        )
    return app_id


def first_manifest(manifest: object, config: object = None) -> dict[str, Any]:
    """What an install starts from: a copy of the manifest, or the usual one. `config` is its older name.

    On whose behalf an app runs is not a part of it, whatever stands there.

    Raises:
        InvalidRequest: both are given, or it is no map.
    """
    if manifest is not None and config is not None:
        raise InvalidRequest("config is the older name of manifest: give one of them.")
    given = config if manifest is None else manifest
    if given is None:
        return {"name": UNTITLED, "version": USUAL_VERSION, "type": ANY_PAGE}
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"The manifest of an app is a map, not {type(given).__name__}.")
    return {str(key): value for key, value in given.items() if key != _GRANTED}


def check_installable(manifest: Mapping[str, Any], has_source: bool) -> str:
    """The type of an app that is to be installed.

    Raises:
        InvalidRequest: the manifest holds what only the server writes, or no type that can run.
    """
    for key in _OF_SERVER:
        if manifest.get(key) is not None:
            raise InvalidRequest(f"{key} must not be in the manifest of an app: the server finds them out.")
    kind = manifest.get("type")
    if not isinstance(kind, str) or not kind or kind == "application":
        raise InvalidRequest(f"The manifest needs a type, such as window or python-eval, not {_shown(kind)}.")
    if kind == ANY_PAGE and not has_source:
        raise InvalidRequest("An app of the type hypha needs a source: give one, or another type.")
    Scaling.of(manifest)
    return kind


def validate_app_manifest(manifest: object, worker_types: Collection[str] = ()) -> dict[str, Any]:
    """Say what is wrong with a manifest, without raising: `{valid, errors, warnings, suggestions}`.

    `worker_types` are types of apps that workers run beside the known ones. Of each kind at most 50
    sentences are given.
    """
    look = _Look(worker_types)
    if isinstance(manifest, Mapping):
        look.at(manifest)
    else:
        look.errors.append(f"The manifest is a map, not {type(manifest).__name__}.")
    return {
        "valid": not look.errors,
        "errors": look.errors[:_TOLD_FINDINGS],
        "warnings": look.warnings[:_TOLD_FINDINGS],
        "suggestions": look.suggestions[:_TOLD_FINDINGS],
    }


class _Look:
    """What was found so far."""

    def __init__(self, worker_types: Collection[str]) -> None:
        self._worker_types = worker_types
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.suggestions: list[str] = []

    def at(self, manifest: Mapping[Any, Any]) -> None:
        """Go through a manifest."""
        for key in ("name", "type", "version"):
            if manifest.get(key) in (None, ""):
                self.errors.append(f"Missing required field: {key}")
            elif not isinstance(manifest[key], str):
                self.errors.append(f"Field '{key}' must be a string, not {_shown(manifest[key])}")
        for key in _OF_SERVER:
            if manifest.get(key) is not None:
                self.errors.append(f"Field '{key}' is written by the server: leave it out")
        kind = manifest.get("type")
        if kind == "mcp-server":
            self._servers(manifest.get("mcpServers"))
        elif kind == "a2a-agent":
            self._agents(manifest.get("a2aAgents"))
        elif isinstance(kind, str) and kind and kind not in KNOWN_TYPES and kind not in self._worker_types:
            self.warnings.append(
                f"Unknown type {_shown(kind)}: it runs where a worker supports it. Known types: "
                f"{', '.join(KNOWN_TYPES)}"
            )
        self._entry_point(manifest.get("entry_point"))
        try:
            Scaling.of(manifest)
        except InvalidRequest as error:
            self.errors.append(error.message)
        for key in ("description", "tags"):
            if not manifest.get(key):
                self.suggestions.append(f"Consider adding '{key}', by which people find the app")

    def _entry_point(self, entry: object) -> None:
        if entry is None:
            return
        if not isinstance(entry, str):
            self.errors.append(f"Field 'entry_point' must be a string, not {_shown(entry)}")
        elif not entry.endswith((".html", ".js", ".py")):
            self.warnings.append(f"The entry point {_shown(entry)} is none of .html, .js, .py")

    def _servers(self, servers: object) -> None:
        for name, server in self._parts("mcpServers", servers):
            for key in ("type", "url"):
                if not isinstance(server.get(key), str) or not server[key]:
                    self.errors.append(f"MCP server {name} needs '{key}', as a string")
            kind = server.get("type")
            if isinstance(kind, str) and kind and kind not in TRANSPORTS:
                self.warnings.append(
                    f"MCP server {name} has the type {_shown(kind)}: known are {', '.join(TRANSPORTS)}"
                )

    def _agents(self, agents: object) -> None:
        for name, agent in self._parts("a2aAgents", agents):
            url = agent.get("url")
            if not isinstance(url, str) or not url:
                self.errors.append(f"A2A agent {name} needs 'url', as a string")
            elif not _is_web_address(url):
                self.warnings.append(f"The url of A2A agent {name} should start with http:// or https://")
            if agent.get("headers") is not None and not isinstance(agent["headers"], Mapping):
                self.errors.append(f"The headers of A2A agent {name} must be a map")

    def _parts(self, field: str, given: object) -> list[tuple[str, Mapping[Any, Any]]]:
        """The named maps in a field that must hold some."""
        if not isinstance(given, Mapping) or not given:
            self.errors.append(
                f"Field '{field}' must be a map that is not empty: names and what they lead to"
            )
            return []
        if len(given) > _LOOKED_AT:
            self.warnings.append(f"Of '{field}' only the first {_LOOKED_AT} were looked at")
        found = []
        for name, part in islice(given.items(), _LOOKED_AT):
            if isinstance(part, Mapping):
                found.append((_shown(name), part))
            else:
                self.errors.append(f"{_shown(name)} in '{field}' must be a map")
        return found


def _is_web_address(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False


def _shown(value: object) -> str:
    """A value in a sentence, cut."""
    if isinstance(value, str):
        return repr(value[:_SHOWN_CHARS])
    if value is None or isinstance(value, bool | float):
        return repr(value)
    return type(value).__name__
