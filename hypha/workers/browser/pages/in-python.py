"""Runs the script of an app inside Pyodide: installs, connects, and offers what it exports."""

import asyncio
import builtins
import inspect
import json
import linecache
import os
import re
import sys
from collections.abc import Mapping

import hypha_page  # of the page
import micropip

APP = json.loads(hypha_page.app)
WHEELS = json.loads(hypha_page.wheels)
INDEX = hypha_page.index
WELCOME = ("numpy", "pydantic")
"""What scripts may expect, where it is to be had."""


def _project(requirement):
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", name[0]).lower() if name else requirement


async def _install(requirements):
    if INDEX:
        micropip.set_index_urls([INDEX])
    for requirement in requirements:
        is_address = requirement.endswith(".whl") or "://" in requirement
        if WHEELS is not None and not is_address and _project(requirement) not in WHEELS:
            raise RuntimeError(
                f"The requirement {requirement} cannot be installed: the server has no wheel of it. "
                "Its operator adds wheels to the folder of --pyodide-dir."
            )
    try:
        await micropip.install(requirements)
    except Exception as error:
        hint = " This server has only the wheels of its folder (--pyodide-dir)." if INDEX else ""
        asked = ", ".join(requirements)
        raise RuntimeError(f"The requirements cannot be installed ({asked}): {error}.{hint}") from None


def _service_of(exported):
    if isinstance(exported, Mapping):
        return {name: value for name, value in exported.items() if not str(name).startswith("_")}
    names = (name for name in dir(exported) if not name.startswith("_"))
    return {name: getattr(exported, name) for name in names}


class _Exports:
    """Registers what a script exports, as the service `default`."""

    def __init__(self, server):
        self._server = server
        self.tasks = []

    def export(self, exported, config=None, **_):
        task = asyncio.ensure_future(self._register(exported, config or {}))
        self.tasks.append(task)
        return task

    async def _register(self, exported, config):
        service = _service_of(exported() if isinstance(exported, type) else exported)
        setup = service.pop("setup", None)
        if callable(setup) and inspect.isawaitable(done := setup()):
            await done
        told = {"type": APP.get("type"), "description": APP.get("description")}
        told = {name: value for name, value in told.items() if value is not None}
        service = {**told, **service, "id": "default", "name": APP.get("name")}
        service["config"] = {**service.get("config", {}), **config}
        registered = await self._server.register_service(service)
        hypha_page.settled()
        return registered


async def _connect():
    from hypha_rpc import api, connect_to_server

    given = {
        name: os.environ.get(f"HYPHA_{name.upper()}")
        for name in ("server_url", "workspace", "client_id", "token")
    }
    given["app_id"], given["name"] = os.environ.get("HYPHA_APP_ID"), APP.get("name")
    server = await connect_to_server({name: value for name, value in given.items() if value})
    register = server.register_service

    async def registered(*args, **kwargs):
        answer = await register(*args, **kwargs)
        hypha_page.settled()
        return answer

    exports = _Exports(server)
    api.update({name: value for name, value in server.items() if name != "export"})
    api.register_service = api.registerService = registered
    api.set_export_handler(exports.export)
    return api, exports


async def run():
    """Do all of it."""
    wished = [name for name in WELCOME if WHEELS is not None and name in WHEELS]
    await _install(["hypha-rpc", *wished, *map(str, APP.get("requirements") or [])])
    os.environ.update(json.loads(hypha_page.variables))
    sys.path.insert(0, os.getcwd())
    api, exports = await _connect()
    builtins.api = api  # scripts of the older kind import nothing
    from pyodide.code import eval_code_async

    script = APP["script"]
    linecache.cache["main.py"] = (len(script), None, script.splitlines(True), "main.py")
    await eval_code_async(script, {"__name__": "__main__", "api": api}, filename="main.py")
    await asyncio.gather(*exports.tasks)
