"""Runs apps in Python environments of their own: types `conda-jupyter-kernel` and `python-env`."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypha.errors import HyphaError, InvalidArguments
from hypha.workers.base import (
    Callback,
    CallContext,
    SessionStatus,
    WorkerConfig,
    WorkerError,
    WorkerNotAvailableError,
)
from hypha.workers.children import Child, ProcessLimits
from hypha.workers.conda.backends import find_backend
from hypha.workers.conda.environments import MOST_ENVIRONMENTS, Environments
from hypha.workers.conda.kernel import Kernel, check_path, new_context
from hypha.workers.conda.requirements import requirements_of, with_needed
from hypha.workers.conda.session import DEFAULT_ENTRY, Session
from hypha.workers.foldered import FolderWorker, Leader, on_this_machine
from hypha.workers.folders import default_root
from hypha.workers.limit_options import add_limits, limits_of
from hypha.workers.logs import LogPage, page_of
from hypha.workers.options import Connection, Options, add_connection, count, folder, words_of
from hypha.workers.serving import run_command, share_of
from hypha.workers.staging import wishes
from hypha.workers.swarms import Swarms, Watched

if TYPE_CHECKING:
    from zmq.asyncio import Context

logger = logging.getLogger(__name__)

TYPES = ("conda-jupyter-kernel", "python-env")
_EXECUTE_S = 30.0
_BUILD_FACTOR = 8
"""Files of environments may be so many times as large as those that apps write."""


class CondaWorker(FolderWorker):
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
        usual = Connection(use_local_url=True)
        super().__init__(connection or usual, root or default_root("conda"), most_sessions)
        self._limits = limits or ProcessLimits()
        self._cache = cache or default_root("environments")
        self._variables = os.environ if variables is None else variables
        self._environments: Environments | None = None
        self._context: Context | None = None
        self._running: dict[str, Session] = {}
        self._beginning = 0
        self._swarms = Swarms(self._limits, self._watched)

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

    async def prepare(self) -> None:
        """Find what makes environments, make the folders, and end what an earlier worker has left.

        Raises:
            WorkerNotAvailableError: something that it needs is missing, or a folder cannot be made.
        """
        if self._environments is None:
            backend = find_backend(self._variables)
            check_path(self._root)
            # a build loads much: its time and the size of the folder bound it
            limits = replace(self._limits, memory_mb=0, file_mb=_BUILD_FACTOR * self._limits.file_mb)
            self._environments = Environments(self._cache, backend, limits, self._variables)
        if self._context is None:
            self._context = new_context()
        await super().prepare()

    def _kernels(self) -> list[tuple[Session, Child]]:
        running = self._running.values()
        return [(each, each.kernel.child) for each in running if each.is_open and each.kernel is not None]

    def _leaders(self) -> list[Leader]:
        return [Leader(child.pid, child.started, child.marks) for _, child in self._kernels()]

    def _watched(self) -> dict[int, Watched]:
        return {
            child.pid: Watched(child.marks, partial(self._end_swarm, session, child))
            for session, child in self._kernels()
        }

    async def _end_swarm(self, session: Session, child: Child, why: str) -> None:
        session.log.add("error", why)
        await child.kill()

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
            WorkerError: it asks for files that cannot be staged.
        """
        wishes(manifest.get("files_to_stage"))
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
        taken = self._beginning + sum(each.is_open for each in self._running.values())
        self._check_admits(config.workspace, taken)
        self._beginning += 1
        try:
            private = await self._new_folder()
        finally:
            self._beginning -= 1
        assert self._environments is not None and self._context is not None

        def ended(wrong: str | None) -> None:
            info = self._sessions.get(config.id)
            if info is not None and info.status in (SessionStatus.STARTING, SessionStatus.RUNNING):
                info.status, info.error = SessionStatus.FAILED, wrong

        try:
            environment = self._environments.name_of(requirements_of(config.manifest), config.workspace)
            self._check_environments(config.id, environment)
        except HyphaError:
            await asyncio.to_thread(private.remove)
            raise
        session = self._running[config.id] = Session(config, private, ended, environment)
        path = self._variables.get("PATH", os.defpath)
        make = partial(Kernel.start, self._context, limits=self._limits)
        with on_this_machine():
            await session.open(self._environments, make, path, self._swarms.watch)

    def _check_environments(self, session_id: str, wanted: str) -> None:
        """Of the environments that are kept, a person's sessions use no more than half."""
        person = self._people.get(session_id)
        open_ones = [each for key, each in self._running.items() if self._people.get(key) == person]
        used, share = {each.environment for each in open_ones if each.is_open}, share_of(MOST_ENVIRONMENTS)
        if person is not None and wanted not in used and len(used) >= share:
            raise WorkerError(
                f"Your sessions of this worker use {share} environments, and others may need some, too: stop "
                "one first."
            )

    def _takes_place(self, session_id: str) -> bool:
        session = self._running.get(session_id)
        return super()._takes_place(session_id) if session is None else session.is_open

    async def _stop_session(self, session_id: str) -> None:
        if session := self._running.pop(session_id, None):
            await session.close()

    async def _get_session_logs(
        self, session_id: str, log_type: str | None = None, offset: int = 0, limit: int | None = None
    ) -> LogPage:
        session = self._running.get(session_id)
        return session.log.page(log_type, offset, limit) if session else page_of([], log_type, offset, limit)

    async def shutdown(self, context: CallContext | None = None) -> None:
        """Stop all sessions; the folder and the sockets go with the last of them."""
        await super().shutdown(context)
        if not self._running and self._context is not None:
            own, self._context = self._context, None
            own.destroy(linger=0)


def _timeout(config: Mapping[str, Any] | None) -> float:
    value = (config or {}).get("timeout", _EXECUTE_S)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise InvalidArguments("timeout of execute is a number of seconds above 0.")
    return float(value)


def _options() -> Options:
    options = Options("python -m hypha.workers.conda", "Runs apps of the type conda-jupyter-kernel.")
    add_connection(options)
    options.add("--cache-dir", None, "Folder for the environments", folder, "CONDA_CACHE_DIR")
    options.add("--working-dir", None, "Folder for the folders of sessions", folder, "CONDA_WORKING_DIR")
    options.add(
        "--authorized-workspaces", (), "Workspaces whose apps it runs, with commas; beside its own", words_of,
        "CONDA_AUTHORIZED_WORKSPACES",
    )  # fmt: skip
    add_limits(options, "conda")
    options.add("--conda-sessions", 50, "Sessions at the same time", count)
    return options


def _worker(values: Mapping[str, Any], connection: Connection) -> CondaWorker:
    limits = limits_of(values, "conda")
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
