"""A headless Chromium page, driven over its debugging socket."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio",
    "--remote-debugging-port=0", "--remote-allow-origins=*",
)  # fmt: skip


def find_chromium() -> str | None:
    """Path of an installed Chromium or Chrome; `CHROMIUM` in the environment wins."""
    return os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One browser process with one page; use it as `async with Page()`; skips where none is installed."""

    def __init__(self, flags: Sequence[str] = ()) -> None:
        self._flags = (*FLAGS, *flags)
        self._folder = tempfile.TemporaryDirectory(prefix="hypha-chromium-", ignore_cleanup_errors=True)
        self._ids = itertools.count(1)
        self._process: asyncio.subprocess.Process | None = None
        self._socket: ClientConnection | None = None

    async def __aenter__(self) -> Page:
        program = find_chromium()
        if program is None:
            pytest.skip("Chromium is not installed")
        self._process = await asyncio.create_subprocess_exec(
            program, *self._flags, f"--user-data-dir={self._folder.name}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        self._socket = await connect(await self._debugger_url(), max_size=None, ping_interval=None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            await self._socket.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), 5)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._folder.cleanup()

    async def _debugger_url(self, kind: str = "page") -> str:
        ports = Path(self._folder.name) / "DevToolsActivePort"
        async with asyncio.timeout(20):
            while not (ports.exists() and ports.read_text().strip()):  # noqa: ASYNC110 (a file)
                await asyncio.sleep(0.05)
        port = ports.read_text().splitlines()[0]

        def targets() -> Any:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=5) as answer:
                return json.load(answer)

        async with asyncio.timeout(10):
            while True:
                found = [entry for entry in await asyncio.to_thread(targets) if entry["type"] == kind]
                if found:
                    return str(found[0]["webSocketDebuggerUrl"])
                await asyncio.sleep(0.05)

    async def framed_url(self) -> str:
        """Address of what the page's one frame shows; that of an error page where it was refused."""
        frames = (await self.command("Page.getFrameTree"))["frameTree"].get("childFrames")
        if frames:
            return str(frames[0]["frame"]["url"])
        asked = {"id": 1, "method": "Runtime.evaluate", "params": {"expression": "location.href"}}
        async with connect(await self._debugger_url("iframe")) as socket:  # a process of its own shows it
            await socket.send(json.dumps(asked))
            return str(json.loads(await socket.recv())["result"]["result"]["value"])

    async def command(self, method: str, timeout_s: float = 30.0, **params: Any) -> dict[str, Any]:
        """Send a debugger command and return its result."""
        assert self._socket is not None
        number = next(self._ids)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(timeout_s):
            while True:
                message = json.loads(await self._socket.recv())
                if message.get("id") == number:
                    if "error" in message:
                        raise RuntimeError(message["error"]["message"])
                    return dict(message["result"])

    async def open(self, url: str) -> None:
        """Load a page and wait until it is there (its script may have put a view behind `#` by then)."""
        await self.command("Page.navigate", url=url)
        async with asyncio.timeout(15):
            while not await self._is_loaded(url):  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.05)

    async def _is_loaded(self, url: str) -> bool:
        with contextlib.suppress(RuntimeError):
            here, state = await self.run("return [location.href, document.readyState];")
            shown = str(here) if "#" in url else str(here).partition("#")[0]
            return shown.rstrip("/") == url.rstrip("/") and state == "complete"
        return False

    async def run(self, script: str, timeout_s: float = 30.0, **args: Any) -> Any:
        """Execute the body of an async function in the page; it sees `args`."""
        expression = f"(async (args) => {{ {script} }})({json.dumps(args)})"
        result = await self.command(
            "Runtime.evaluate", timeout_s, expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(
                result["exceptionDetails"].get("exception", {}).get("description", "error in page")
            )
        return result["result"].get("value")


LOAD_CLIENT = """
  await new Promise((resolve, reject) => {
    const tag = document.createElement("script");
    tag.src = args.source;
    tag.onload = resolve;
    tag.onerror = () => reject(new Error("the client did not load from " + args.source));
    document.head.appendChild(tag);
  });
  window.state = {};
  return typeof hyphaWebsocketClient.connectToServer;
"""
