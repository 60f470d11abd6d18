"""Runs Python scripts, each in a process of its own: apps of the type `python-eval`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hypha.workers.app_files import MOST_SCRIPT_BYTES, fetch
from hypha.workers.base import (
    SessionStatus,
    WorkerConfig,
    WorkerError,
    progress,
    safe_call_callback,
)
from hypha.workers.children import Child, ProcessLimits, describe_code
from hypha.workers.foldered import FolderWorker, Leader, on_this_machine
from hypha.workers.folders import SessionFolder, default_root
from hypha.workers.limit_options import add_limits, limits_of
from hypha.workers.logs import LogItem, LogPage, page_of
from hypha.workers.options import Connection, Options, add_connection, count, folder
from hypha.workers.processes import is_connected
from hypha.workers.serving import run_command
from hypha.workers.swarms import Swarms, Watched

_SETTLED_S = 10.0
"""A program that runs for so long without connecting to the server counts as started."""
_LOOK_S = 0.1
"""Between two looks whether a program has connected; its end is noticed at once."""
_TOLD_LINES, _TOLD_CHARS = 20, 3_000
_MARK = "HYPHA_SESSION_DIR"
"""Its value is a name that nobody can guess, so it tells the processes of a session."""


class _Session:
    """One script: its folder, its process, and what is said about it."""

    def __init__(self) -> None:
        self.folder: SessionFolder | None = None
        self.child: Child | None = None
        self.notes: list[str] = []
        self.watching: asyncio.Task[None] | None = None

    def items(self) -> list[LogItem]:
        """Its log: one entry for each output, and what happened to it."""
        entries = [LogItem(type="info", content=note) for note in self.notes]
        if self.child is None:
            return entries
        outputs = (("stdout", self.child.out), ("stderr", self.child.err))
        return [LogItem(type=kind, content=tail.text()) for kind, tail in outputs] + entries


class PythonEvalWorker(FolderWorker):
    """Runs scripts as processes with a private folder, limits, and no environment but the session's.

    `root` is the folder in which sessions have theirs. At most `most_sessions` are there, until they are
    stopped, also where the script has ended.
    """

    def __init__(
        self,
        connection: Connection | None = None,
        limits: ProcessLimits | None = None,
        root: Path | None = None,
        most_sessions: int = 200,
    ) -> None:
        usual = Connection(use_local_url=True)
        super().__init__(connection or usual, root or default_root("python-eval"), most_sessions)
        self._limits = limits or ProcessLimits()
        self._running: dict[str, _Session] = {}
        self._swarms = Swarms(self._limits, self._watched)

    @property
    def supported_types(self) -> list[str]:
        """Python scripts."""
        return ["python-eval"]

    @property
    def name(self) -> str:
        """For people."""
        return "Python eval worker"

    @property
    def description(self) -> str:
        """For people."""
        return "Runs Python scripts, each in a process of its own"

    async def _start_session(self, config: WorkerConfig) -> None:
        if not config.entry_point:
            raise WorkerError(f"The app {config.app_id} has no entry_point: name the script to run.")
        self._check_admits(config.workspace, len(self._running))
        session = self._running[config.id] = _Session()
        try:
            with on_this_machine():
                await self._run(config, config.entry_point, session)
        except BaseException:  # its log stays, but nothing of it runs
            if session.child is not None:
                await session.child.end()
            raise

    async def _run(self, config: WorkerConfig, entry_point: str, session: _Session) -> None:
        session.folder = await self._new_folder()
        work = session.folder.work
        await safe_call_callback(config.progress_callback, progress("Fetching the script"))
        source = await fetch(config, entry_point, MOST_SCRIPT_BYTES)
        await asyncio.to_thread((work / "main.py").write_bytes, source)
        await safe_call_callback(config.progress_callback, progress("Running the script"))
        child = session.child = await Child.start(
            [sys.executable, "-u", "main.py"],
            folder=work,
            environment=_environment(config, work),
            marks=[_MARK],
            limits=self._limits,
        )
        session.folder.record(child.pid, child.started, child.marks)
        session.watching = asyncio.create_task(self._watch(config.id, session, child))
        self._swarms.watch()
        await self._settle(config, child, session.watching)

    def _takes_place(self, session_id: str) -> bool:
        return session_id in self._running or super()._takes_place(session_id)

    async def _settle(self, config: WorkerConfig, child: Child, watching: asyncio.Task[None]) -> None:
        """Wait until the script has ended, or has connected to the server, or has run for long.

        Raises:
            WorkerError: it ended badly; with its last lines.
        """
        port, loop = _port(config.server_url), asyncio.get_running_loop()
        patience_s = config.timeout or _SETTLED_S
        if not config.get("wait_for_service"):
            patience_s = min(patience_s, _SETTLED_S)
        deadline = loop.time() + patience_s
        while loop.time() < deadline:
            await asyncio.wait([watching], timeout=_LOOK_S)
            if watching.done() or await asyncio.to_thread(is_connected, child.pid, port):
                break
        if child.code:
            lines = child.err.text().strip().splitlines() or child.out.text().strip().splitlines()
            told = "\n".join(lines[-_TOLD_LINES:])[-_TOLD_CHARS:]
            raise WorkerError(f"The script ended with {describe_code(child.code)}:\n{told}")

    async def _watch(self, session_id: str, session: _Session, child: Child) -> None:
        """Note the end of a script."""
        code = await child.wait()
        session.notes.append(f"The script ended with {describe_code(code)}.")
        info = self._sessions.get(session_id)
        if info is not None and info.status in (SessionStatus.STARTING, SessionStatus.RUNNING):
            info.status = SessionStatus.FAILED if code else SessionStatus.COMPLETED

    async def _stop_session(self, session_id: str) -> None:
        session = self._running.pop(session_id, None)
        if session is None:
            return
        if session.child is not None:
            await session.child.end()
        if session.watching is not None:
            await asyncio.wait([session.watching])
        if session.folder is not None:
            await asyncio.to_thread(session.folder.remove)

    async def _get_session_logs(
        self, session_id: str, log_type: str | None = None, offset: int = 0, limit: int | None = None
    ) -> LogPage:
        session = self._running.get(session_id)
        return page_of(session.items() if session else [], log_type, offset, limit)

    def _leaders(self) -> list[Leader]:
        children = [each.child for each in self._running.values() if each.child is not None]
        return [Leader(child.pid, child.started, child.marks) for child in children]

    def _watched(self) -> dict[int, Watched]:
        running = [(each, each.child) for each in self._running.values() if each.child is not None]
        return {
            child.pid: Watched(child.marks, partial(self._end_swarm, session, child))
            for session, child in running
        }

    async def _end_swarm(self, session: _Session, child: Child, why: str) -> None:
        session.notes.append(why)
        await child.kill()


def _environment(config: WorkerConfig, work: Path) -> dict[str, str]:
    """All that a script finds in its environment."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HYPHA_SERVER_URL": config.server_url,
        "HYPHA_WORKSPACE": config.workspace,
        "HYPHA_CLIENT_ID": config.client_id,
        "HYPHA_TOKEN": config.token or "",
        "HYPHA_APP_ID": config.app_id,
        _MARK: str(work),
    }


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme in ("https", "wss") else 80)


def _options() -> Options:
    options = Options("python -m hypha.workers.python_eval", "Runs apps of the type python-eval.")
    add_connection(options)
    options.add("--python-working-dir", None, "Folder for the folders of sessions", folder)
    add_limits(options, "python")
    options.add("--python-sessions", 200, "Sessions at the same time", count)
    return options


def _worker(values: Mapping[str, Any], connection: Connection) -> PythonEvalWorker:
    limits = limits_of(values, "python")
    return PythonEvalWorker(connection, limits, values["python_working_dir"], values["python_sessions"])


async def hypha_startup(server: Any) -> None:
    """Begin the worker inside the server; its limits come from variables."""
    values = _options().read([], os.environ)
    connection = Connection(service_id="python-eval-worker", use_local_url=True)
    await _worker(values, connection).register_worker_service(server)


def main() -> int:
    """Run the worker as a program."""
    return run_command(_options(), _worker)


if __name__ == "__main__":
    sys.exit(main())
