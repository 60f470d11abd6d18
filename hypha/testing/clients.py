"""Unmodified clients in processes of their own, driven from a test."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

_LINE_LIMIT_BYTES = 64 * 1024 * 1024


class WorkerError(Exception):
    """The worker's operation raised; the text is the error as the client reported it."""


class Worker:
    """A worker process; `PythonWorker` and `NodeWorker` say what it runs.

    Operations (`connect`, `serve`, `call`, `load`, …) are those of `hypha.testing.worker`. Use it
    as `async with`; leaving ends the process whatever its state.
    """

    def __init__(
        self, command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self._command = list(command)
        self._cwd = cwd
        self._env = {**os.environ, **(env or {})}
        self._log = tempfile.TemporaryFile()
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._ids = itertools.count(1)
        self.info: dict[str, Any] = {}

    async def start(self) -> Worker:
        """Start the process."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._log,
            cwd=self._cwd,
            env=self._env,
            limit=_LINE_LIMIT_BYTES,
            start_new_session=True,
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aenter__(self) -> Worker:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        assert self._process is not None, "the worker was not started"
        return self._process.pid

    @property
    def log(self) -> str:
        """What the worker printed so far."""
        with open(f"/proc/self/fd/{self._log.fileno()}", "rb") as log:
            return log.read().decode(errors="replace")

    async def ask(self, op: str, *, timeout_s: float = 60.0, **args: Any) -> Any:
        """Run one operation and return its value; raises WorkerError with the client's error."""
        assert self._process is not None and self._process.stdin is not None, "the worker was not started"
        number = next(self._ids)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self._process.stdin.write(json.dumps({"id": number, "op": op, "args": args}).encode() + b"\n")
        try:
            await self._process.stdin.drain()
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            raise TimeoutError(
                f"{op} took over {timeout_s} s; the worker's log ends:\n{self.log[-2000:]}"
            ) from None
        finally:
            self._waiting.pop(number, None)

    async def connect(self, url: str, *, timeout_s: float = 60.0, **config: Any) -> dict[str, Any]:
        """Connect to a server; `config` is the client library's."""
        self.info = await self.ask("connect", timeout_s=timeout_s, server_url=url, **config)
        return self.info

    async def serve(self, id: str = "lab", **config: Any) -> str:
        """Register the test service and return its full id."""
        return str(await self.ask("serve", id=id, **config))

    async def call(self, service: str, function: str, *args: Any, timeout_s: float = 60.0) -> Any:
        """Get a service and call one function."""
        return await self.ask(
            "call", timeout_s=timeout_s, service=service, function=function, args=list(args)
        )

    async def load(
        self, service: str, prefix: str, *, timeout_s: float = 300.0, **plan: Any
    ) -> list[dict[str, Any]]:
        """Call `run` of a service many times; returns one record per call (`oplog.CallRecord`)."""
        records = await self.ask("load", timeout_s=timeout_s, service=service, prefix=prefix, **plan)
        return list(records)

    async def runs(self) -> dict[str, int]:
        """How often each call id ran in this worker."""
        return dict(await self.ask("runs"))

    def kill(self) -> None:
        """End the process at once (SIGKILL)."""
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop the process from running (SIGSTOP) until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process run again (SIGCONT)."""
        self._signal(signal.SIGCONT)

    async def close(self) -> None:
        """End the process, in order when it still answers."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self.thaw()
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                await asyncio.wait_for(self._process.wait(), 3.0)
            except TimeoutError:
                self.kill()
                await self._process.wait()
        if self._reader is not None:
            await self._reader
        self._log.close()

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, number)

    async def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        while line := await self._process.stdout.readline():
            try:
                reply = json.loads(line)
            except ValueError:
                continue
            future = self._waiting.get(reply.get("id"))
            if future is None or future.done():
                continue
            if "error" in reply:
                future.set_exception(WorkerError(reply["error"]))
            else:
                future.set_result(reply.get("value"))
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(WorkerError("the worker process ended"))


class PythonWorker(Worker):
    """A Python client (package `hypha-rpc`) in its own process."""

    def __init__(self, *, python: str = sys.executable, env: Mapping[str, str] | None = None) -> None:
        super().__init__([python, "-u", "-m", "hypha.testing.worker"], env=env)


class NodeWorker(Worker):
    """A JavaScript client (npm package `hypha-rpc`) in a Node process.

    `folder` holds `worker.js` and the npm packages. Besides the common operations, `run` executes a piece of
    JavaScript with the client library.
    """

    def __init__(self, folder: Path, *, env: Mapping[str, str] | None = None) -> None:
        super().__init__(["node", "worker.js"], cwd=folder, env=env)

    async def run(self, script: str, *, timeout_s: float = 60.0, **args: Any) -> Any:
        """Execute the body of an async function and return what it returns, as JSON.

        It sees `hypha` (the client library), `args`, `state` (an object that stays), `connect(config)`
        (connects and remembers for the clean-up) and `sleep(ms)`.
        """
        return await self.ask("run", timeout_s=timeout_s, script=script, args=args)
