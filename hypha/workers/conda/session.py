"""One session: its environment, folder, kernel, script and log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from hypha.workers.app_files import MOST_SCRIPT_BYTES, fetch
from hypha.workers.base import Callback, WorkerConfig, WorkerError, progress, safe_call_callback
from hypha.workers.children import describe_code
from hypha.workers.conda.environments import Environment, Environments
from hypha.workers.conda.kernel import Kernel
from hypha.workers.conda.outputs import Output, error_of, text_of_error
from hypha.workers.conda.requirements import requirements_of
from hypha.workers.folders import SessionFolder
from hypha.workers.logs import SessionLog
from hypha.workers.processes import is_connected
from hypha.workers.staging import stage

DEFAULT_ENTRY = "main.py"
_SETTLED_S = 10.0
"""A script that runs for so long counts as started: it may serve for ever."""
_CONNECTED_S = 1.0
"""The same of one that has connected to the server."""
_LOOK_S = 0.1
_TOLD_CHARS = 3_000
_HEARD_AHEAD = 1_000
"""Outputs that wait for a caller who is told of them as they come; those beyond are in the answer alone."""

_MOST_CALLS = 100
"""Calls of `execute` at a time, those that wait included."""

MakeKernel = Callable[..., Awaitable[Kernel]]
"""`Kernel.start` with what all sessions have in common."""
Ended = Callable[[str | None], None]
"""Told when the script or the kernel has ended by itself; with words for what is wrong."""


class Session:
    """What a session consists of. It is opened once, and closed at the latest when it is stopped."""

    def __init__(
        self, config: WorkerConfig, folder: SessionFolder, ended: Ended, environment: str = ""
    ) -> None:
        self.config = config
        self.environment = environment
        """The name of the one that it wants."""
        self.log = SessionLog()
        self.is_open = True
        self._folder = folder
        self._ended = ended
        self._environment: Environment | None = None
        self._kernel: Kernel | None = None
        self._calls = 0
        self._tasks: list[asyncio.Task[Any]] = []

    # -- start and end ----------------------------------------------------------------------------

    async def open(
        self, environments: Environments, make: MakeKernel, path: str, began: Callable[[], None]
    ) -> None:
        """Start it: fetch the script, find or make the environment, start the kernel, run the script.

        `path` is where programs are found beside those of the environment; `began` is told of the kernel.

        Raises:
            WorkerError: one of these failed; the session is closed then.
        """
        try:
            config = self.config
            wanted = requirements_of(config.manifest)
            await self._tell("Fetching the script")
            source = await fetch(config, config.entry_point or DEFAULT_ENTRY, MOST_SCRIPT_BYTES)
            code = _text(source, config)
            await self._tell("Looking for the environment")
            found = self._environment = await environments.provide(
                wanted, config.workspace, self._folder, self._tell
            )
            if config.manifest.get("files_to_stage") is not None:
                await self._tell("Putting files into its folder")
                await stage(config, self._folder.work)
            await self._tell("Starting the kernel")
            variables = found.variables(path) | self._variables()
            self._kernel = await make(found.python, self._folder, variables, hear=self._hear)
            began()
            self._tasks.append(asyncio.create_task(self._watch(self._kernel)))
            await self._tell("Running the script")
            await self._settle(self._kernel, code)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End its processes and delete its folder; the log stays."""
        if not self.is_open:
            return
        self.is_open = False
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        try:
            if self._kernel is not None:
                await self._kernel.close()
        finally:
            if self._environment is not None:
                self._environment.release()
            await asyncio.to_thread(self._folder.remove)

    @property
    def kernel(self) -> Kernel | None:
        """The kernel, once there is one."""
        return self._kernel

    async def _settle(self, kernel: Kernel, code: str) -> None:
        """Return when the script has ended, or has connected to the server, or has run for long.

        Raises:
            WorkerError: it failed, or the kernel ended.
        """
        script = asyncio.create_task(self._run_script(kernel, code))
        self._tasks.append(script)
        port, loop = _port(self.config.server_url), asyncio.get_running_loop()
        deadline = loop.time() + (self.config.timeout or _SETTLED_S)
        if not self.config.get("wait_for_service"):
            deadline = min(deadline, loop.time() + _SETTLED_S)
        is_connected_now = False
        while loop.time() < deadline and not script.done():
            await asyncio.wait([script], timeout=_LOOK_S)
            if not is_connected_now and await asyncio.to_thread(is_connected, kernel.child.pid, port):
                is_connected_now, deadline = True, min(deadline, loop.time() + _CONNECTED_S)
        if script.done():
            self._tasks.remove(script)
            if error := script.result():
                raise WorkerError(f"The script failed:\n{error[-_TOLD_CHARS:]}")
        else:
            script.add_done_callback(self._script_ended)

    async def _run_script(self, kernel: Kernel, code: str) -> str | None:
        """Run the script; what went wrong, or nothing."""
        try:
            result = await kernel.run(code)
        except WorkerError as error:
            return str(error)
        if "error" in result:
            return text_of_error(result["error"])
        self.log.add("info", "The script has ended; the kernel goes on.")
        return None

    def _script_ended(self, script: asyncio.Task[str | None]) -> None:
        """Note how a script has ended that ran longer than the start."""
        if not script.cancelled() and (error := script.result()):
            self._ended(error.strip().splitlines()[-1])

    async def _watch(self, kernel: Kernel) -> None:
        """Note the end of a kernel that nobody has stopped."""
        code = await asyncio.shield(kernel.ended)
        text = f"The kernel ended with {describe_code(code)}."
        lines = kernel.child.err.text().strip()[-_TOLD_CHARS:]
        self.log.add("error", f"{text}\n{lines}" if lines else text)
        self._ended(text)

    # -- code -------------------------------------------------------------------------------------

    async def execute(self, code: str, timeout_s: float, callback: Callback | None) -> dict[str, Any]:
        """Run code in the kernel; `callback` gets each output as it comes.

        Raises:
            WorkerError: there is no kernel (yet, or any more), or too many calls run or wait already.
        """
        kernel = self._kernel
        if kernel is None or not self.is_open:
            raise WorkerError("The session has no kernel: it still starts, or has failed.")
        if self._calls >= _MOST_CALLS:
            raise WorkerError(f"The session runs {_MOST_CALLS} calls already: wait for some.")
        self._calls += 1
        try:
            if callback is None:
                return await kernel.run(code, timeout_s)
            return await self._execute_heard(kernel, code, timeout_s, callback)
        finally:
            self._calls -= 1

    async def _execute_heard(
        self, kernel: Kernel, code: str, timeout_s: float, callback: Callback
    ) -> dict[str, Any]:
        """Run code, and pass on its outputs as they come."""
        heard: asyncio.Queue[Output | None] = asyncio.Queue(_HEARD_AHEAD)

        def hear(output: Output) -> None:
            with contextlib.suppress(asyncio.QueueFull):
                heard.put_nowait(output)

        passing = asyncio.create_task(_pass_on(heard, callback))
        try:
            result = await kernel.run(code, timeout_s, hear)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await heard.put(None)
                    await passing
            return result
        finally:
            passing.cancel()

    # -- log --------------------------------------------------------------------------------------

    async def _tell(self, message: str) -> None:
        self.log.add("progress", message)
        await safe_call_callback(self.config.progress_callback, progress(message))

    def _hear(self, output: Output) -> None:
        """Keep what the kernel prints."""
        if output["type"] == "stream":
            self.log.add(output["name"], output["text"])
        elif output["type"] == "error":
            self.log.add("error", text_of_error(error_of(output)))

    def _variables(self) -> dict[str, str]:
        """All that a script finds in its environment, beside what belongs to the environment."""
        config, home = self.config, self._folder.path / "home"
        home.mkdir(mode=0o700, exist_ok=True)
        return {
            "HOME": str(home),
            "HYPHA_SERVER_URL": config.server_url,
            "HYPHA_WORKSPACE": config.workspace,
            "HYPHA_CLIENT_ID": config.client_id,
            "HYPHA_TOKEN": config.token or "",
            "HYPHA_APP_ID": config.app_id,
        }


async def _pass_on(heard: asyncio.Queue[Output | None], callback: Callback) -> None:
    while (output := await heard.get()) is not None:
        await safe_call_callback(callback, output)


def _text(source: bytes, config: WorkerConfig) -> str:
    try:
        return source.decode()
    except UnicodeDecodeError:
        raise WorkerError(f"The script of the app {config.app_id} is no text in UTF-8.") from None


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme in ("https", "wss") else 80)
