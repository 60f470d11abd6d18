"""Programs in files of one's own, run here: Python scripts, workers, and plugins.

What a file says with `api.export(object)` becomes the service `default`; a function `hypha_startup(server)`
is called with the connection. The file is the operator's: it runs with all that this process may do.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import textwrap
import types
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import yaml

from hypha.workers.base import WorkerError
from hypha.workers.options import Connection

_PLUGINS = (".imjoy.html", ".hypha.html")
_STARTUP = "hypha_startup"


class ProgramFile:
    """A program that was read, and what it has exported once it has run."""

    def __init__(self, path: Path, source: str) -> None:
        self.path = path
        tree = ast.parse(source, str(path))
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        self._has_startup = any(isinstance(node, functions) and node.name == _STARTUP for node in tree.body)
        self._code = compile(
            source, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
        )
        self._names: dict[str, Any] = {}
        self._exported: list[tuple[object, Mapping[str, Any]]] = []

    @classmethod
    def read(cls, path: Path) -> ProgramFile:
        """Read a file.

        Raises:
            WorkerError: it is not there, is none that can run here, or cannot be understood.
        """
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise WorkerError(f"The file {path} cannot be read: {error}") from None
        if path.name.endswith(_PLUGINS):
            text = _python_of(path, text)
        elif path.suffix != ".py":
            raise WorkerError(f"{path} is neither a Python file nor a plugin ({', '.join(_PLUGINS)}).")
        try:
            return cls(path, text)
        except (SyntaxError, ValueError) as error:
            raise WorkerError(f"{path} is no Python: {error}") from None

    @property
    def waits(self) -> bool:
        """Whether it awaits something by itself, so it needs the connection and a running loop."""
        return bool(self._code.co_flags & inspect.CO_COROUTINE)

    def prepare(self, connection: Connection) -> None:
        """Let the program find the connection in its environment, and export what it has to `self`."""
        from hypha_rpc import api

        for name in ("server_url", "workspace", "client_id", "token"):
            if value := getattr(connection, name):
                os.environ[f"HYPHA_{name.upper()}"] = value
        api.set_export_handler(self._export)
        # known under a name of its own, a worker's file does not run its own main beside
        module = types.ModuleType("hypha_program" if self._has_startup else "__main__")
        self._names = vars(module) | {"__file__": str(self.path), "api": api}

    def _export(self, exported: object, config: Mapping[str, Any] | None = None, **_: object) -> None:
        self._exported.append((exported, config or {}))

    def run(self) -> None:
        """Run a program that does not wait.

        Raises:
            WorkerError: it offers nothing.
        """
        exec(self._code, self._names)
        self._check_offer()

    def _check_offer(self) -> None:
        if not self._exported and _STARTUP not in self._names:
            raise WorkerError(f"{self.path} offers nothing: call api.export, or define {_STARTUP}(server).")

    async def serve(self, server: Any) -> list[str]:
        """Run what is left, and register what the program offers; the ids of the services, as far as known.

        Raises:
            WorkerError: it offers nothing.
        """
        from hypha_rpc import api

        api.update({name: value for name, value in server.items() if name != "export"})
        if self.waits:
            await eval(self._code, self._names)
            self._check_offer()
        if startup := self._names.get(_STARTUP):
            await startup(server)
        return [await _register(server, exported, config) for exported, config in self._exported]


async def _register(server: Any, exported: object, config: Mapping[str, Any]) -> str:
    """Offer an object as the service `default`, after its `setup`."""
    if isinstance(exported, type):
        exported = exported()
    service = _service_of(exported)
    if callable(setup := service.get("setup")) and inspect.isawaitable(done := setup()):
        await done
    service = {"id": "default", **service}
    if config:
        service["config"] = {**service.get("config", {}), **config}
    return str((await server.register_service(service))["id"])


def _service_of(exported: object) -> dict[str, Any]:
    if isinstance(exported, Mapping):
        return {str(name): value for name, value in exported.items() if not str(name).startswith("_")}
    names = (name for name in dir(exported) if not name.startswith("_"))
    return {name: getattr(exported, name) for name in names}


class _Parts(HTMLParser):
    """Finds the first script of a plugin that holds something, its language, and what its config says."""

    def __init__(self) -> None:
        super().__init__()
        self.lang = ""
        self.text = ""
        self.configs: list[tuple[str, str]] = []
        self._lang: str | None = None
        self._config: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the begin of a script, or of a config."""
        lang = dict(attrs).get("lang")
        if tag == "script":
            self._lang = (lang or "javascript").lower()
        elif tag in ("manifest", "config"):
            self._config = (lang or "json").lower()

    def handle_data(self, data: str) -> None:
        """Keep a script, or a config."""
        if self._config is not None and data.strip():
            self.configs.append((self._config, data))
        elif self._lang is not None and data.strip() and not self.text:
            self.lang, self.text = self._lang, data

    def handle_endtag(self, tag: str) -> None:
        """Note the end of a script, or of a config."""
        if tag == "script":
            self._lang = None
        elif tag in ("manifest", "config"):
            self._config = None


def _parts_of(text: str) -> _Parts:
    parts = _Parts()
    parts.feed(text)
    parts.close()
    return parts


def _python_of(path: Path, text: str) -> str:
    parts = _parts_of(text)
    if parts.lang != "python":
        raise WorkerError(f"{path} has no script in Python.")
    return textwrap.dedent(parts.text)


def javascript_of(path: Path) -> tuple[dict[str, Any], str] | None:
    """What the config of a plugin says, and its script, where that is JavaScript; None of other files.

    Raises:
        WorkerError: its config cannot be read.
    """
    if not path.name.endswith(_PLUGINS) or not path.is_file():
        return None
    parts = _parts_of(path.read_text("utf-8", "replace"))
    if parts.lang not in ("javascript", "js"):
        return None
    said: dict[str, Any] = {}
    for lang, text in parts.configs:
        try:
            found = yaml.safe_load(text) if lang == "yaml" else json.loads(text)
        except (ValueError, yaml.YAMLError):
            found = None
        if not isinstance(found, dict):
            raise WorkerError(f"The config of {path} is no object in JSON or YAML.")
        said |= found
    return said, parts.text
