"""A worker whose sessions are containers: what an engine does for one, and what is done for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from hypha.errors import InvalidArguments
from hypha.workers.base import (
    Callback,
    CallContext,
    SessionStatus,
    WorkerConfig,
    WorkerError,
    progress,
    safe_call_callback,
)
from hypha.workers.containers.manifests import ContainerSpec, Usual, checked_manifest, spec_of
from hypha.workers.containers.outputs import Executed, Pieces, ends_of
from hypha.workers.logs import LogItem, LogPage, SessionLog
from hypha.workers.options import Connection
from hypha.workers.serving import ConnectedWorker

logger = logging.getLogger(__name__)

_SETTLED_S = 2.0
"""A container that runs for so long counts as started."""
_EXECUTE_S, _LONGEST_EXECUTE_S = 30.0, 3600.0
_SHELL = "/bin/sh"
_SHELLS = re.compile(r"/[A-Za-z0-9._/-]{1,99}")
_SCRIPT_CHARS = 100_000
_TOLD_LINES, _TOLD_CHARS = 20, 3_000
_SWEEP_S = 600.0
_NOTES_CHARS = 100_000


class Ended(NamedTuple):
    """How a container ended."""

    code: int | None
    """None where nobody knows."""
    reason: str = ""
    """What the engine says beside."""

    def told(self) -> str:
        """For people."""
        with_code = "" if self.code is None else f" with code {self.code}"
        return f"The container has ended{with_code}.{' ' + self.reason if self.reason else ''}"


class Engine(Protocol):
    """What runs containers. Each of its functions raises WorkerError with what went wrong, for people."""

    async def prepare(self) -> None:
        """See that it is there, and remove what workers have left that are gone.

        Raises:
            WorkerNotAvailableError: it is not.
        """

    async def sweep(self) -> None:
        """Remove containers that have outlived their time."""

    async def start(self, spec: ContainerSpec) -> None:
        """Make a container, and return when it runs, or has ended."""

    async def wait(self, spec: ContainerSpec) -> Ended:
        """Wait until it has ended."""

    def logs(self, name: str) -> Pieces:
        """What it has written, the end of it at least."""

    def execute(self, name: str, command: list[str], container: str | None) -> Execution:
        """A program beside, in the same container."""

    async def remove(self, name: str) -> None:
        """End and delete it; one that is gone is fine."""

    async def close(self) -> None:
        """Let go of the connections."""


class Execution(Protocol):
    """A program that runs in a container."""

    def pieces(self) -> Pieces:
        """What it writes, until it has ended."""

    async def code(self) -> int | None:
        """With what it ended; after its last piece."""


@dataclass(slots=True)
class _Session:
    spec: ContainerSpec
    log: SessionLog = field(default_factory=lambda: SessionLog(_NOTES_CHARS))
    watching: asyncio.Task[None] | None = None
    ended: Ended | None = None


class ContainerWorker(ConnectedWorker):
    """Runs each app in a container of its own.

    With workspaces in the connection, only apps of these and of the worker's own run.
    """

    prefix = "hypha"

    def __init__(self, engine: Engine, connection: Connection, usual: Usual, most_sessions: int) -> None:
        super().__init__(connection, most_sessions)
        self._engine = engine
        self._usual = usual
        self._running: dict[str, _Session] = {}
        self._sweeping: asyncio.Task[None] | None = None

    async def register_worker_service(self, server: Any) -> Any:
        """See first that there is an engine, and remove what workers have left that are gone."""
        await self._engine.prepare()
        registered = await super().register_worker_service(server)
        self._sweeping = asyncio.create_task(self._sweep())
        return registered

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            try:
                await self._engine.sweep()
            except WorkerError as error:
                logger.warning("Containers that are over could not be removed: %s", error)

    async def compile(
        self,
        manifest: dict[str, Any],
        files: list[dict[str, Any]],
        config: Mapping[str, Any] | None = None,
        context: CallContext | None = None,
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Check what the manifest says of the container, and add what it leaves out.

        Raises:
            InvalidArguments: it says what cannot be.
        """
        return checked_manifest(manifest, self._usual), files

    # -- sessions

    def _takes_place(self, session_id: str) -> bool:
        """A container is there until its session is stopped."""
        return session_id in self._running or super()._takes_place(session_id)

    async def _start_session(self, config: WorkerConfig) -> None:
        self._check_admits(config.workspace, len(self._running))
        spec = spec_of(config, self.prefix, self._usual)
        session = self._running[config.id] = _Session(spec)
        await safe_call_callback(config.progress_callback, progress(f"Starting the image {spec.image}"))
        await self._engine.start(spec)
        session.log.add("info", f"The container {spec.name} runs {spec.image}.")
        watching = session.watching = asyncio.create_task(self._watch(config.id, session))
        await asyncio.wait([watching], timeout=_SETTLED_S)
        if session.ended is not None and session.ended.code != 0:
            raise WorkerError(f"{session.ended.told()}{await self._last_lines(session)}")

    async def _watch(self, session_id: str, session: _Session) -> None:
        """Note how a container ends."""
        try:
            ended = await self._engine.wait(session.spec)
        except WorkerError as error:
            ended = Ended(None, error.message)
        session.ended = ended
        session.log.add("info" if ended.code == 0 else "error", ended.told())
        info = self._sessions.get(session_id)
        if info is not None and info.status in (SessionStatus.STARTING, SessionStatus.RUNNING):
            is_well = ended.code == 0
            info.status = SessionStatus.COMPLETED if is_well else SessionStatus.FAILED
            info.error = None if is_well else ended.told()

    async def _last_lines(self, session: _Session) -> str:
        texts = await self._outputs(session)
        text = texts.get("stderr") or texts.get("stdout") or ""
        lines = "\n".join(text.splitlines()[-_TOLD_LINES:])[-_TOLD_CHARS:]
        return f"\nIts last lines:\n{lines}" if lines else ""

    async def _stop_session(self, session_id: str) -> None:
        session = self._running.get(session_id)
        if session is None:
            return
        if session.watching is not None:
            session.watching.cancel()
        await self._engine.remove(session.spec.name)
        self._running.pop(session_id, None)

    async def _outputs(self, session: _Session) -> dict[str, str]:
        async with aclosing(self._engine.logs(session.spec.name)) as pieces:  # type: ignore[type-var]
            try:
                return await ends_of(pieces)
            except WorkerError as error:
                return {"error": error.message}

    async def _get_session_logs(
        self, session_id: str, log_type: str | None = None, offset: int = 0, limit: int | None = None
    ) -> list[Mapping[str, Any]] | LogPage:
        session = self._running.get(session_id)
        if session is None:
            return []
        texts = await self._outputs(session) if session.watching is not None else {}
        items = [LogItem(type=name, content=text) for name, text in sorted(texts.items(), reverse=True)]
        return [*items, *session.log.page()["items"]]

    # -- what people do with a session

    async def execute(
        self,
        session_id: str,
        script: str,
        config: Mapping[str, Any] | None = None,
        progress_callback: Callback | None = None,
        context: CallContext | None = None,
    ) -> dict[str, Any]:
        """Run a script in the container of a session, with its shell.

        `config` may have `timeout` in seconds, 30 if not, `shell` (`/bin/sh`) and `container`. What takes
        longer goes on in the container, but is not waited for. `progress_callback` gets outputs as they come.

        Returns:
            `status` (`ok` or `error`), `outputs` and, where it failed, `error` with `ename`, `evalue` and
            `traceback`.

        Raises:
            PermissionDenied: the caller is of another workspace, or may only read in the session's.
            InvalidArguments: the script or its config are none. WorkerError: the container does not run.
        """
        self._check_may_run(self._session(session_id, context).workspace, context)
        session = self._running.get(session_id)
        if session is None or session.watching is None or session.ended is not None:
            raise WorkerError("The session has no container that runs: it still starts, or has ended.")
        if not isinstance(script, str) or len(script) > _SCRIPT_CHARS:
            raise InvalidArguments(f"The script is a text of {_SCRIPT_CHARS} characters at most.")
        shell, container, timeout_s = _wishes(config or {})
        execution = self._engine.execute(session.spec.name, [shell, "-c", script], container)
        outputs, error = Executed(), None
        try:
            async with asyncio.timeout(timeout_s), aclosing(execution.pieces()) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    if told := outputs.add(piece):
                        await safe_call_callback(progress_callback, told)
                if code := await execution.code():
                    error = _error("ExitCode", f"The script ended with code {code}.")
        except TimeoutError:
            error = _error("TimeoutError", f"The script did not end within {timeout_s:g} s.")
        answer: dict[str, Any] = {"status": "error" if error else "ok", "outputs": outputs.values()}
        return answer | ({"error": error} if error else {})

    async def shutdown(self, context: CallContext | None = None) -> None:
        """Stop all sessions; the connections to the engine go with the last of them."""
        await super().shutdown(context)
        if context is not None or self._running:
            return
        if self._sweeping is not None:
            self._sweeping.cancel()
        with contextlib.suppress(WorkerError):
            await self._engine.close()


def _error(name: str, text: str) -> dict[str, Any]:
    return {"ename": name, "evalue": text, "traceback": []}


def _wishes(config: Mapping[str, Any]) -> tuple[str, str | None, float]:
    shell, container = config.get("shell", _SHELL), config.get("container")
    timeout = config.get("timeout", _EXECUTE_S)
    if not isinstance(shell, str) or not _SHELLS.fullmatch(shell):
        raise InvalidArguments("shell is the path of a shell in the container, such as /bin/sh.")
    if container is not None and not isinstance(container, str):
        raise InvalidArguments("container is the name of a container, such as main.")
    if (
        isinstance(timeout, bool)
        or not isinstance(timeout, int | float)
        or not 0 < timeout <= _LONGEST_EXECUTE_S
    ):
        raise InvalidArguments(f"timeout of execute is a number of seconds, up to {_LONGEST_EXECUTE_S:g}.")
    return shell, container, float(timeout)
