"""`--interactive`: a Python prompt on this terminal with `app` and `store`."""

from __future__ import annotations

import ast
import asyncio
import code
import contextlib
import dataclasses
import inspect
import threading
import types
from collections.abc import Callable
from typing import Any

from hypha.settings import Settings

BANNER = "Hypha: `app`, `store` and `server` are here; `await` works. End with Ctrl-D."


def run_shell(settings: Settings) -> int:
    """Run the server's parts and a prompt beside them; serve too with `--enable-server`."""
    from hypha.cli.listener import bind

    listener = bind(settings.host, settings.port) if settings.enable_server else None
    if listener is not None:
        settings = dataclasses.replace(settings, port=listener.getsockname()[1])
    asyncio.run(_run(settings, listener))
    return 0


async def _run(settings: Settings, listener: Any) -> None:
    from hypha.assembly import Server
    from hypha.cli.webserver import http_server

    server = Server(settings)
    await server.start()
    try:
        serving = None
        if listener is not None:
            web = http_server(server, settings)
            serving = asyncio.create_task(web.serve([listener]))
        names = {"server": server, "app": server.app, "store": server}  # as startup functions call it
        await _prompt(names)
        if serving is not None:
            web.should_exit = True
            await serving
    finally:
        await server.stop()


async def _prompt(names: dict[str, Any]) -> None:
    """Read and run statements in a thread until the end of the input."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def interact() -> None:
        try:
            with contextlib.suppress(SystemExit):
                AwaitingConsole(names, loop).interact(banner=BANNER, exitmsg="")
        finally:
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=interact, name="prompt", daemon=True).start()
    await ended.wait()


class AwaitingConsole(code.InteractiveConsole):
    """A prompt whose statements run on the server's event loop and may await."""

    def __init__(self, names: dict[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(names)
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._loop = loop

    def runcode(self, statement: types.CodeType) -> None:
        """Run one statement and wait for what it awaits."""
        function: Callable[[], Any] = types.FunctionType(statement, self.locals)

        async def run() -> None:
            result = function()
            if inspect.iscoroutine(result):
                await result

        try:
            asyncio.run_coroutine_threadsafe(run(), self._loop).result()
        except SystemExit:
            raise
        except BaseException:
            self.showtraceback()
