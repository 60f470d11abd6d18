"""The browser worker of a server, whose pages are driven by a process of their own.

Pages are code of anybody who has an account. What they print, report and answer comes to whoever drives them,
as fast and as large as they like: in the server itself it would hold up all that the server does.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hypha.errors import PermissionDenied
from hypha.workers.base import (
    Callback,
    CallContext,
    SessionNotFoundError,
    WorkerConfig,
    WorkerError,
    WorkerNotAvailableError,
    safe_call_callback,
)
from hypha.workers.browser.chromium import IN_CONTAINER, find_chromium, has_playwright
from hypha.workers.browser.pipe import Message, packed, read
from hypha.workers.browser.worker import BrowserWorker
from hypha.workers.logs import LogPage
from hypha.workers.options import Connection

logger = logging.getLogger(__name__)

ENDED = "The browser of the server has ended: start the app again."
_FACTS = ("ws", "from", "user")
"""What of a call's context is passed on."""
_ERRORS = {
    each.__name__: each
    for each in (WorkerError, SessionNotFoundError, WorkerNotAvailableError, PermissionDenied, ValueError)
}
_ENDING_S = 10.0
_PASSED = frozenset(
    {
        "HYPHA_CHROMIUM_PATH", "HYPHA_MAX_BROWSER_SESSIONS", "PATH", "HOME", "USER", "LOGNAME", "SHELL",
        "TMPDIR", "TMP", "TEMP", "TZ", "LANG", "LANGUAGE", "DISPLAY", "LD_LIBRARY_PATH", "VIRTUAL_ENV",
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy",
        "no_proxy", "SystemRoot",
    }
)  # fmt: skip
_PASSED_FAMILIES = (
    "HYPHA_BROWSER_", "PLAYWRIGHT_", "LC_", "XDG_", "FONTCONFIG_", "LIBGL_", "VK_", "MALLOC_", "PYTHON",
    "NODE_", "SSL_CERT_",
)  # fmt: skip
"""Variables that the process gets, and those that begin so: the browser inherits them, and runs pages of
anybody. All others stay with the server, whose secrets have many names."""


class PagesProcess:
    """The process, as far as it runs: started when it is needed, and anew when it has ended.

    Args:
        command: its command line, to which the number of its socket is added.
        environment: all that it finds in its environment.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = command
        self._environment = environment
        self._numbers = itertools.count(1)
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Queue[Message]] = {}
        self._starting = asyncio.Lock()
        self._listening: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is one."""
        return self._writer is not None

    async def call(
        self, function: str, args: Sequence[Any], context: CallContext | None, progress: Callback | None
    ) -> Any:
        """Call a function of the worker there.

        Raises:
            WorkerError: the process has ended. Exception: what the function raises.
        """
        facts = None if context is None else {key: context[key] for key in _FACTS if key in context}
        writer, number = await self._opened(), next(self._numbers)
        heard = self._waiting[number] = asyncio.Queue()
        try:
            writer.write(packed({"id": number, "function": function, "args": args, "context": facts}))
            with contextlib.suppress(OSError):  # which the one who listens sees, too
                await writer.drain()
            while True:
                message = await heard.get()
                if "told" in message:
                    await safe_call_callback(progress, message["told"])
                elif "error" in message:
                    kind, text = message["error"]
                    raise _ERRORS.get(kind, WorkerError)(text)
                else:
                    return message["value"]
        finally:
            del self._waiting[number]

    async def _opened(self) -> asyncio.StreamWriter:
        async with self._starting:
            if self._writer is not None:
                return self._writer
            ours, theirs = socket.socketpair()
            with theirs:
                command = [*self._command, str(theirs.fileno())]
                process = await asyncio.to_thread(
                    subprocess.Popen, command, env=dict(self._environment), stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()], start_new_session=True,
                )  # fmt: skip
            reader, self._writer = await asyncio.open_connection(sock=ours)
            self._listening = asyncio.create_task(self._listen(reader, self._writer, process))
            return self._writer

    async def _listen(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, process: subprocess.Popen[bytes]
    ) -> None:
        """Hand out what comes, until the process has ended."""
        try:
            while (message := await read(reader)) is not None:
                heard = self._waiting.get(message["id"])
                if heard is not None:
                    heard.put_nowait(message)
        finally:
            self._writer = None
            writer.close()
            for heard in self._waiting.values():
                heard.put_nowait({"error": ["WorkerError", ENDED]})
            await asyncio.to_thread(_end, process)

    async def close(self) -> None:
        """End it."""
        if self._writer is not None:
            self._writer.write_eof()
        if self._listening is not None:
            await self._listening


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let a process end by itself, which closes the browser, or else kill it."""
    try:
        process.wait(_ENDING_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def variables_of(given: Mapping[str, str]) -> dict[str, str]:
    """What the process finds of a server's variables."""
    return {
        name: value for name, value in given.items() if name in _PASSED or name.startswith(_PASSED_FAMILIES)
    }


class ApartWorker(BrowserWorker):
    """See `BrowserWorker`: sessions, and all that pages say, are in a process that is started for them."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        connection = Connection(service_id="browser-worker", use_local_url=True)
        super().__init__(environment, connection=connection)
        given = os.environ if environment is None else environment
        command = [sys.executable, "-m", "hypha.workers.browser.driving"]
        self._process = PagesProcess(command, variables_of(given))

    async def _ask(
        self, function: str, *args: Any, context: CallContext | None, progress: Callback | None = None
    ) -> Any:
        return await self._process.call(function, args, context, progress)

    async def start(
        self, config: WorkerConfig | Mapping[str, Any], context: CallContext | None = None
    ) -> str:
        """See `BrowserWorker`."""
        given = dict(config.model_dump() if isinstance(config, WorkerConfig) else config)
        progress = given.pop("progress_callback", None)
        args = self._own_workspace, given
        return str(await self._ask("start", *args, context=context, progress=progress))

    async def stop(self, session_id: str, context: CallContext | None = None) -> None:
        """See `BrowserWorker`."""
        if self._process.is_running:
            await self._ask("stop", session_id, context=context)

    async def get_logs(
        self,
        session_id: str,
        type: str | None = None,
        offset: int = 0,
        limit: int | None = None,
        context: CallContext | None = None,
    ) -> LogPage:
        """See `BrowserWorker`."""
        page: LogPage = await self._ask("get_logs", session_id, type, offset, limit, context=context)
        return page

    async def take_screenshot(
        self, session_id: str, format: str = "png", context: CallContext | None = None
    ) -> bytes:
        """See `BrowserWorker`."""
        return bytes(await self._ask("take_screenshot", session_id, format, context=context))

    async def execute(
        self, session_id: str, script: str, config: Mapping[str, Any] | None = None,
        progress_callback: Callback | None = None, context: CallContext | None = None,
    ) -> Any:  # fmt: skip
        """See `BrowserWorker`."""
        return await self._ask("execute", session_id, script, dict(config or {}), context=context)

    async def clear_app_cache(
        self, workspace: str, app_id: str, context: CallContext | None = None
    ) -> dict[str, int]:
        """See `BrowserWorker`."""
        return dict(await self._ask("clear_app_cache", workspace, app_id, context=context))

    async def get_app_cache_stats(
        self, workspace: str, app_id: str, context: CallContext | None = None
    ) -> dict[str, Any]:
        """See `BrowserWorker`."""
        return dict(await self._ask("get_app_cache_stats", workspace, app_id, context=context))

    async def shutdown(self, context: CallContext | None = None) -> None:
        """See `BrowserWorker`."""
        if self._process.is_running:
            await self._ask("shutdown", context=context)

    async def close(self) -> None:
        """End the process, and with it all pages."""
        await self._process.close()


async def hypha_startup(server: Any) -> None:
    """Register the worker, as a startup function of a server; one warning where there is no browser."""
    await _register(server, os.environ)


async def startup_in_container(server: Any) -> None:
    """The same where the kernel gives the browser no sandbox of its own (`--in-docker`)."""
    await _register(server, {**os.environ, IN_CONTAINER: "true"})


async def _register(server: Any, environment: Mapping[str, str]) -> None:
    if not has_playwright():
        logger.warning("No apps in a browser: install the package playwright (hypha-server[browser]).")
    elif find_chromium(environment) is None:
        logger.warning("No apps in a browser: install Chromium, or name one in HYPHA_CHROMIUM_PATH.")
    else:
        await ApartWorker(environment).register_worker_service(server)
