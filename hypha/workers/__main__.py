"""`python -m hypha.workers FILE`: run a file of one's own as a client of a server, or a worker by name."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypha.workers.base import WorkerError
from hypha.workers.options import Connection, Options, add_connection, boolean, connection_of
from hypha.workers.plugin_files import ProgramFile, javascript_of
from hypha.workers.serving import connect, set_up_logging, told_to_end

_LATER = {"mcp-client-worker": "MCP servers"}
_BROWSER = "browser-worker"


def _options() -> Options:
    options = Options("python -m hypha.workers", "Runs a Python file, a plugin or a worker as a client.")
    options.add_argument("file", "A .py file, a plugin (.imjoy.html, .hypha.html), or browser-worker")
    add_connection(options)
    options.add("--quit-on-ready", False, "End when the services are registered", boolean)
    return options


async def _serve(program: ProgramFile, connection: Connection, is_quitting: bool) -> None:
    server = await connect(connection)
    try:
        for service_id in await program.serve(server):
            print(f"Service registered: {service_id}", flush=True)
        print("Ready", flush=True)
        if not is_quitting:
            await told_to_end()
    finally:
        with contextlib.suppress(Exception):
            await server.disconnect()


async def _serve_browser(connection: Connection, is_quitting: bool) -> None:
    from hypha.workers.browser import BrowserWorker

    server = await connect(connection)
    worker = BrowserWorker(connection=connection)
    try:
        registered = await worker.register_worker_service(server)
        print(f"Service registered: {registered['id']}\nReady", flush=True)
        if not is_quitting:
            await told_to_end()
    finally:
        await worker.close()
        with contextlib.suppress(Exception):
            await server.disconnect()


async def _serve_page(plugin: tuple[dict[str, Any], str], connection: Connection, is_quitting: bool) -> None:
    from hypha.workers.browser.own_page import OwnPage

    page = OwnPage(connection, *plugin)
    try:
        await page.open()
        print("Ready", flush=True)
        if not is_quitting:
            tasks = [asyncio.create_task(each) for each in (told_to_end(), page.ended())]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[1].done():
                raise WorkerError("The browser has ended.")
    finally:
        await page.close()


def main(words: Sequence[str] | None = None) -> int:
    """Run what the command line names; the exit code."""
    try:
        values = _options().read(sys.argv[1:] if words is None else words, os.environ)
        connection = connection_of(values, ("server_url",))
        set_up_logging(connection)
        name, is_quitting = values["file"], values["quit_on_ready"]
        if name in _LATER:
            raise WorkerError(f"There is no {name} in this version: {_LATER[name]} come later.")
        if name == _BROWSER:
            asyncio.run(_serve_browser(connection, is_quitting))
            return 0
        if (plugin := javascript_of(Path(name))) is not None:
            asyncio.run(_serve_page(plugin, connection, is_quitting))
            return 0
        program = ProgramFile.read(Path(name))
        program.prepare(connection)
        if not program.waits:
            program.run()
        asyncio.run(_serve(program, connection, is_quitting))
    except WorkerError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"No connection to the server: {error}", file=sys.stderr)
        return 1
    except Exception:  # of the program: its author reads this
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
