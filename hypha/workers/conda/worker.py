"""Runs apps in Python environments of their own: types `conda-jupyter-kernel` and `python-env`."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypha.errors import InvalidArguments, PermissionDenied
from hypha.workers.base import (
    Callback,
    CallContext,
    SessionStatus,
    WorkerConfig,
    WorkerError,
    WorkerNotAvailableError,
)
from hypha.workers.children import ProcessLimits
from hypha.workers.conda.backends import find_backend
from hypha.workers.conda.environments import Environments
from hypha.workers.conda.kernel import check_path, new_context
from hypha.workers.conda.requirements import with_needed
from hypha.workers.conda.session import DEFAULT_ENTRY, Session
from hypha.workers.folders import WorkerFolder, default_root
from hypha.workers.logs import LogPage, page_of
from hypha.workers.options import Connection, Options, add_connection, count, folder, words_of
from hypha.workers.processes import end_all
from hypha.workers.serving import ConnectedWorker, run_command

if TYPE_CHECKING:
    from zmq.asyncio import Context

logger = logging.getLogger(__name__)

TYPES = ("conda-jupyter-kernel", "python-env")
_EXECUTE_S = 30.0
_BUILD_FACTOR = 8
"""Files of environments may be so many times as large as those that apps write."""


class CondaWorker(ConnectedWorker):
    """Runs apps as Jupyter kernels in environments that are made from what their manifests name.

    `cache` holds the environments, `root` the folders of sessions. With workspaces in the connection,
    only apps of these and of the worker's own run. `variables` are those of the worker.
    """

    def __init__(
        self,
        connection: Connection | None = None,
        limits: ProcessLimits | None = None,
        cache: Path | None = None,
        root: Path | None = None,
        most_sessions: int = 50,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(connection or Connection(use_local_url=True))
        self._limits = limits or ProcessLimits()
        self._cache = cache or default_root("environments")
        self._root = root or default_root("conda")
        self._most_sessions = most_sessions
        self._variables = os.environ if variables is None else variables
        self._preparing = asyncio.Lock()
        self._folder: WorkerFolder | None = None
        self._environments: Environments | None = None
        self._context: Context | None = None
        self._running: dict[str, Session] = {}

    @property
    def supported_types(self) -> list[str]:
        """Python with an environment."""
        return list(TYPES)

    @property
    def name(self) -> str:
        """For people."""
        return "Environment worker"

    @property
    def description(self) -> str:
        """For people."""
        return "Runs Python in environments of its own, as Jupyter kernels"

    async def register_worker_service(self, server: Any) -> Any:
        """Make the folders first: what an earlier worker has left ends before there are new sessions."""
        await self.prepare()
        return await super().register_worker_service(server)

    async def prepare(self) -> None:
        """Find what makes environments, make the folders, and end what an earlier worker has left.

        Raises:
            WorkerNotAvailableError: something that it needs is missing, or a folder cannot be made.
        """
        async with self._preparing:
            if self._folder is not None:
                return
            backend = find_backend(self._variables)
            check_path(self._root)
            context = new_context()
            # a build loads much: its time and the size of the folder bound it
            limits = replace(self._limits, memory_mb=0, file_mb=_BUILD_FACTOR * self._limits.file_mb)
            self._environments = Environments(self._cache, backend, limits, self._variables)
            self._folder = await asyncio.to_thread(WorkerFolder, self._root)
            self._context = context
            atexit.register(self._end_now)

    def _end_now(self) -> None:
        """Leave no process when this one ends and nobody has called `shutdown`."""
        for session in self._running.values():
            if session.kernel is not None:
                child = session.kernel.child
                end_all(child.pid, child.started, child.marks)
        if self._folder is not None:
            self._folder.remove()

    # -- what the server calls --------------------------------------------------------------------

    async def compile(
        self,
        manifest: dict[str, Any],
        files: list[dict[str, Any]],
        config: Mapping[str, Any] | None = None,
        context: CallContext | None = None,
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Add what each environment needs, and the usual name of the script.

        Raises:
            InvalidArguments: the manifest asks for what cannot be.
        """
        ready = dict(manifest)
        ready["dependencies"] = with_needed(manifest)
        ready["entry_point"] = manifest.get("entry_point") or DEFAULT_ENTRY
        return ready, files

    async def execute(
        self,
        session_id: str,
        script: str,
        config: Mapping[str, Any] | None = None,
        progress_callback: Callback | None = None,
        context: CallContext | None = None,
    ) -> dict[str, Any]:
        """Run code in a session's kernel, which keeps what it defines.

        `config` may have `timeout` in seconds, 30 if not; code that takes longer is interrupted.
        `progress_callback` gets each output as it comes.

        Returns:
            `status` (`ok` or `error`), `outputs` (streams, displays, results) and, where it failed, `error`
            with `ename`, `evalue` and `traceback`.

        Raises:
            PermissionDenied: the caller is of another workspace, or may only read in the session's.
            InvalidArguments: the code is no text, or the timeout no number above 0.
            WorkerError: there is no kernel (any more), or too many calls wait for it.
        """
        self._check_may_run(self._session(session_id, context).workspace, context)
        session = self._running.get(session_id)
        if session is None:
            raise WorkerError("The session has no kernel: it still starts, or has failed.")
        if not isinstance(script, str):
            raise InvalidArguments("The code to run is a text.")
        return await session.execute(script, _timeout(config), progress_callback)

    async def _start_session(self, config: WorkerConfig) -> None:
        allowed = self._connection.authorized_workspaces
        if allowed and config.workspace not in (*allowed, self._connection.workspace or "public"):
            raise PermissionDenied(f"This worker runs no apps of the workspace {config.workspace}.")
        if sum(each.is_open for each in self._running.values()) >= self._most_sessions:
            raise WorkerError(
                f"This worker has {self._most_sessions} sessions already: stop one, or try later."
            )
        await self.prepare()
        assert self._folder is not None and self._environments is not None and self._context is not None
        private = await asyncio.to_thread(self._folder.new_session)

        def ended(wrong: str | None) -> None:
            info = self._sessions.get(config.id)
            if info is not None and info.status in (SessionStatus.STARTING, SessionStatus.RUNNING):
                info.status, info.error = SessionStatus.FAILED, wrong

        session = self._running[config.id] = Session(config, private, ended)
        path = self._variables.get("PATH", os.defpath)
        await session.open(self._environments, self._context, self._limits, path)

    async def _stop_session(self, session_id: str) -> None:
        if session := self._running.pop(session_id, None):
            await session.close()

    async def _get_session_logs(
        self, session_id: str, log_type: str | None = None, offset: int = 0, limit: int | None = None
    ) -> LogPage:
        session = self._running.get(session_id)
        return session.log.page(log_type, offset, limit) if session else page_of([], log_type, offset, limit)

    async def shutdown(self, context: CallContext | None = None) -> None:
        """Stop all sessions; the folder goes with the last of them."""
        await super().shutdown(context)
        if not self._running and self._folder is not None:
            own, self._folder = self._folder, None
            atexit.unregister(self._end_now)
            await asyncio.to_thread(own.remove)
            if self._context is not None:
                self._context.destroy(linger=0)
                self._context = None


def _timeout(config: Mapping[str, Any] | None) -> float:
    value = (config or {}).get("timeout", _EXECUTE_S)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise InvalidArguments("timeout of execute is a number of seconds above 0.")
    return float(value)


def _options() -> Options:
    options = Options("python -m hypha.workers.conda", "Runs apps of the type conda-jupyter-kernel.")
    add_connection(options)
    usual = ProcessLimits()
    options.add("--cache-dir", None, "Folder for the environments", folder, "CONDA_CACHE_DIR")
    options.add("--working-dir", None, "Folder for the folders of sessions", folder, "CONDA_WORKING_DIR")
    options.add(
        "--authorized-workspaces", (), "Workspaces whose apps it runs, with commas; beside its own", words_of,
        "CONDA_AUTHORIZED_WORKSPACES",
    )  # fmt: skip
    options.add("--conda-cpu-s", usual.cpu_s, "Seconds of processor time of a process; 0: any", count)
    options.add("--conda-memory-mb", usual.memory_mb, "Memory of a process in MiB; 0: any", count)
    options.add("--conda-file-mb", usual.file_mb, "Size of a file that it writes in MiB; 0: any", count)
    options.add("--conda-open-files", usual.open_files, "Open files of a process; 0: any", count)
    options.add("--conda-processes", usual.processes, "Processes of a session; 0: any", count)
    options.add("--conda-sessions", 50, "Sessions at the same time", count)
    return options


def _worker(values: Mapping[str, Any], connection: Connection) -> CondaWorker:
    limits = ProcessLimits(
        cpu_s=values["conda_cpu_s"],
        memory_mb=values["conda_memory_mb"],
        file_mb=values["conda_file_mb"],
        open_files=values["conda_open_files"],
        processes=values["conda_processes"],
    )
    return CondaWorker(
        connection, limits, values["cache_dir"], values["working_dir"], values["conda_sessions"]
    )


async def hypha_startup(server: Any) -> None:
    """Begin the worker inside the server, as variables say; one warning where something is missing."""
    values = _options().read([], os.environ)
    connection = Connection(
        service_id="conda-worker", use_local_url=True, authorized_workspaces=values["authorized_workspaces"]
    )
    try:
        await _worker(values, connection).register_worker_service(server)
    except WorkerNotAvailableError as error:
        logger.warning("No apps with environments of their own: %s", error)


def main() -> int:
    """Run the worker as a program."""
    return run_command(_options(), _worker)
