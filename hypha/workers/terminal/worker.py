"""Runs programs in pseudo-terminals, which people see and type into: apps of the type `terminal`."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
from collections.abc import AsyncIterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hypha.errors import PermissionDenied
from hypha.workers.base import (
    Callback,
    CallContext,
    SessionInfo,
    SessionNotFoundError,
    SessionStatus,
    WorkerConfig,
    WorkerError,
    progress,
    safe_call_callback,
)
from hypha.workers.children import ProcessLimits
from hypha.workers.foldered import FolderWorker, Leader, on_this_machine
from hypha.workers.folders import default_root
from hypha.workers.logs import LogPage, page_of
from hypha.workers.options import Connection
from hypha.workers.serving import PUBLIC
from hypha.workers.staging import stage
from hypha.workers.swarms import Swarms, Watched
from hypha.workers.terminal.executing import Wish, execute, execute_stream
from hypha.workers.terminal.program import TerminalProgram
from hypha.workers.terminal.session import Pace, TerminalSession
from hypha.workers.terminal.watching import watch
from hypha.workers.terminal.web import page_service

logger = logging.getLogger(__name__)

MOST_SESSIONS = 50
SESSIONS_VARIABLE = "HYPHA_MAX_TERMINAL_SESSIONS"
_SHELL = "/bin/bash"
_MARK = "HYPHA_SESSION_DIR"
"""Its value is a name that nobody can guess, so it tells the processes of a session."""
_STARTED_S = 2.0
"""A program that prints nothing for so long counts as started."""
_SETTLED_S = 0.1
_TOLD_CHARS = 3_000


class TerminalWorker(FolderWorker):
    """Runs programs with a terminal, a private folder, limits, and an environment of their own.

    Sessions belong to workspaces in the connection's `authorized_workspaces`, to the workspace in which the
    worker is registered, if that is not `public`, or were started by administrators.
    """

    def __init__(
        self,
        connection: Connection | None = None,
        limits: ProcessLimits | None = None,
        root: Path | None = None,
        most_sessions: int = MOST_SESSIONS,
        *,
        has_page: bool = False,
    ) -> None:
        usual = Connection(use_local_url=True)
        super().__init__(connection or usual, root or default_root("terminal"), most_sessions)
        self._limits = limits or ProcessLimits()
        self._has_page = has_page
        self._running: dict[str, TerminalSession] = {}
        self._pace = Pace()
        self._swarms = Swarms(self._limits, self._watched)

    @property
    def supported_types(self) -> list[str]:
        """Programs in a terminal."""
        return ["terminal"]

    @property
    def name(self) -> str:
        """For people."""
        return "Terminal worker"

    @property
    def description(self) -> str:
        """For people."""
        return "Runs programs in terminals, each with a folder of its own"

    def get_worker_service(self) -> dict[str, Any]:
        """The service to register, with what people do in a terminal."""
        more = (
            self.execute_stream, self.resize_terminal, self.read_terminal, self.write_terminal,
            self.get_screen_content, self.attach, self.list_sessions,
        )  # fmt: skip
        return super().get_worker_service() | {each.__name__: each for each in more}

    async def register_worker_service(self, server: Any) -> Any:
        """Register it, and its page, if it shall have one."""
        registered = await super().register_worker_service(server)
        if self._has_page:
            await server.register_service(page_service(str(registered["id"])))
        return registered

    # -- sessions

    async def start(
        self, config: WorkerConfig | Mapping[str, Any], context: CallContext | None = None
    ) -> str:
        """Start a program in a terminal; the session's id.

        Raises:
            PermissionDenied: the workspace of the session is not one for which this worker runs terminals.
        """
        config = config if isinstance(config, WorkerConfig) else WorkerConfig(**config)
        if context is not None:
            self._check_served(config.workspace, context)
        return await super().start(config, context)

    def _check_served(self, workspace: str, context: CallContext) -> None:
        is_own = workspace == self._own_workspace != PUBLIC
        if is_own or workspace in self.authorized_workspaces or self.visibility == "public":
            return
        if not _is_administrator(context.get("user")):
            raise PermissionDenied(
                f"Terminals run for administrators alone: the operator has to add {workspace} to the "
                "workspaces of the terminal worker."
            )

    async def _start_session(self, config: WorkerConfig) -> None:
        command = _command(config.manifest.get("startup_command"))
        if sum(not each.is_closed for each in self._running.values()) >= self._most_sessions:
            raise WorkerError(
                f"There are {self._most_sessions} terminals, as many as there may be ({SESSIONS_VARIABLE}): "
                "stop one, or let the operator raise the limit."
            )
        session = self._running[config.id] = TerminalSession(self._pace)
        try:
            with on_this_machine():
                await self._run(config, session, command)
        except BaseException:  # its log stays
            await session.end()
            raise

    async def _run(self, config: WorkerConfig, session: TerminalSession, command: list[str]) -> None:
        session.folder = await self._new_folder()
        work = session.folder.work
        await safe_call_callback(config.progress_callback, progress("Putting files into its folder"))
        await stage(config, work)
        await safe_call_callback(config.progress_callback, progress(f"Starting {command[0]}"))
        program = await TerminalProgram.start(
            command,
            session.terminal,
            folder=work,
            environment=_environment(config, work),
            marks=[_MARK],
            limits=self._limits,
        )
        session.folder.record(program.pid, program.started, program.marks)
        session.begin(program, partial(self._note_end, config.id))
        self._swarms.watch()
        await self._settle(session, program)

    async def _settle(self, session: TerminalSession, program: TerminalProgram) -> None:
        """Wait until the program has shown something, or has ended.

        Raises:
            WorkerError: it ended badly; with what it said.
        """
        if await session.unread.more(_STARTED_S):
            while not session.has_ended and await session.unread.more(_SETTLED_S):
                if session.prompt():
                    break
        if session.has_ended and program.code:
            raise WorkerError(f"{session.notes[-1]}\n{session.screen.text()[-_TOLD_CHARS:]}")

    def _takes_place(self, session_id: str) -> bool:
        session = self._running.get(session_id)
        return super()._takes_place(session_id) if session is None else not session.is_closed

    def _note_end(self, session_id: str, status: SessionStatus) -> None:
        info = self._sessions.get(session_id)
        if info is not None and info.status in (SessionStatus.STARTING, SessionStatus.RUNNING):
            info.status = status

    async def _stop_session(self, session_id: str) -> None:
        session = self._running.get(session_id)
        if session is not None:
            try:
                await session.end()
            finally:
                self._running.pop(session_id, None)

    def _leaders(self) -> list[Leader]:
        programs = [each.program for each in self._running.values() if each.program is not None]
        return [Leader(program.pid, program.started, program.marks) for program in programs]

    def _watched(self) -> dict[int, Watched]:
        running = [(each, each.program) for each in self._running.values() if each.program is not None]
        return {
            program.pid: Watched(program.marks, partial(self._end_swarm, session, program))
            for session, program in running
        }

    async def _end_swarm(self, session: TerminalSession, program: TerminalProgram, why: str) -> None:
        session.notes.append(why)
        await program.kill()

    # -- what people do with a terminal

    async def get_logs(
        self,
        session_id: str,
        type: str | None = None,
        offset: int = 0,
        limit: int | None = None,
        context: CallContext | None = None,
    ) -> Any:
        """A page of a session's log; of the type `screen` what its screen shows, as one text."""
        if type == "screen":
            return self._terminal(session_id, context).screen.text()
        return await super().get_logs(session_id, type, offset, limit, context)

    async def _get_session_logs(
        self, session_id: str, log_type: str | None = None, offset: int = 0, limit: int | None = None
    ) -> LogPage:
        session = self._running.get(session_id)
        return page_of(session.items() if session else [], log_type, offset, limit)

    async def execute(
        self, session_id: str, script: str, config: Mapping[str, Any] | None = None,
        progress_callback: Callback | None = None, context: CallContext | None = None,
    ) -> Any:  # fmt: skip
        """Type a script and read until a prompt is there: `{status, complete, outputs}`.

        `config` may hold `timeout` in seconds (5) and `raw_output`, for what came as it came.

        Raises:
            ValueError: the timeout is no number. WorkerError: the program has ended, or reads nothing.
        """
        return await execute(self._typed_into(session_id, context), script, Wish.of(config))

    async def execute_stream(
        self, session_id: str, script: str, config: Mapping[str, Any] | None = None,
        context: CallContext | None = None,
    ) -> AsyncIterator[dict[str, Any]]:  # fmt: skip
        """Type a script and give out what is printed as it comes: `{type: output|error|complete}`."""
        async for piece in execute_stream(self._typed_into(session_id, context), script, Wish.of(config)):
            yield piece

    async def resize_terminal(
        self, session_id: str, rows: int, cols: int, context: CallContext | None = None
    ) -> dict[str, Any]:
        """Change the size of a screen.

        Raises:
            ValueError: it cannot have that size.
        """
        session = self._typed_into(session_id, context)
        session.resize(rows, cols)
        return {"success": True, "rows": rows, "cols": cols}

    async def read_terminal(self, session_id: str, context: CallContext | None = None) -> dict[str, Any]:
        """What was printed since the last read, as it came."""
        return {"success": True, "output": self._terminal(session_id, context).unread.take()}

    async def write_terminal(
        self, session_id: str, data: str, context: CallContext | None = None
    ) -> dict[str, Any]:
        """Type something.

        Raises:
            WorkerError: the program has ended, or reads nothing; it is too much.
        """
        await self._typed_into(session_id, context).type(data)
        return {"success": True}

    async def get_screen_content(self, session_id: str, context: CallContext | None = None) -> dict[str, Any]:
        """What a screen shows."""
        screen = self._terminal(session_id, context).screen
        rows, columns = screen.size
        size = {"rows": rows, "cols": columns}
        return {"success": True, "content": screen.text(), "cursor": screen.cursor, "terminal_size": size}

    async def attach(
        self, session_id: str, on_screen_update: Callback, context: CallContext | None = None
    ) -> dict[str, Any]:
        """Tell what a screen shows, at once and whenever it has changed, until its program has ended."""
        await watch(self._terminal(session_id, context), on_screen_update)
        return {"success": True}

    async def list_sessions(self, context: CallContext | None = None) -> list[dict[str, Any]]:
        """The terminals of the caller's workspace."""
        return [self._shown(info) for info in self._sessions.values() if self._may_see(info, context)]

    def _may_see(self, info: SessionInfo, context: CallContext | None) -> bool:
        try:
            self._check_workspace(info.workspace, context)
        except PermissionDenied:
            return False
        return True

    def _shown(self, info: SessionInfo) -> dict[str, Any]:
        session = self._running.get(info.session_id)
        rows, columns = session.screen.size if session else (0, 0)
        return info.model_dump(mode="json") | {"terminal_size": {"rows": rows, "cols": columns}}

    def _typed_into(self, session_id: str, context: CallContext | None) -> TerminalSession:
        """The terminal, for who may have programs run in its workspace."""
        self._check_may_run(self._session(session_id, context).workspace, context)
        return self._terminal(session_id, context)

    def _terminal(self, session_id: str, context: CallContext | None) -> TerminalSession:
        self._session(session_id, context)
        session = self._running.get(session_id)
        if session is None or session.program is None or session.is_closed:
            raise SessionNotFoundError(f"The session {session_id} has no terminal.")
        return session


def _is_administrator(user: object) -> bool:
    """Whether the server says of a user that everything is allowed to it."""
    if not isinstance(user, Mapping):
        return False
    scope, roles = user.get("scope"), user.get("roles")
    workspaces = scope.get("workspaces") if isinstance(scope, Mapping) else None
    is_everywhere = isinstance(workspaces, Mapping) and workspaces.get("*") == "a"
    return is_everywhere or (isinstance(roles, list | tuple) and "admin" in roles)


def _command(given: object) -> list[str]:
    """The program to run, by its path, and its arguments.

    Raises:
        WorkerError: it is no command, or the program is not there.
    """
    try:
        words = shlex.split(given) if isinstance(given, str) else given
    except ValueError as error:
        raise WorkerError(f"startup_command cannot be read: {error}.") from None
    words = [_SHELL] if given is None else words
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise WorkerError("startup_command is a command, such as /bin/bash or python3 -i.")
    found = shutil.which(words[0], path=_PATH)
    if found is None or any("\0" in word for word in words):
        raise WorkerError(f"startup_command: there is no program {words[0][:200]!r} on this machine.")
    return [found, *words[1:]]


_PATH = os.environ.get("PATH", os.defpath)


def _environment(config: WorkerConfig, work: Path) -> dict[str, str]:
    """All that a program finds in its environment. No token: whoever may type reads it."""
    return {
        "PATH": _PATH,
        "HOME": str(work),
        "SHELL": _SHELL,
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "HYPHA_SERVER_URL": config.server_url,
        "HYPHA_WORKSPACE": config.workspace,
        "HYPHA_CLIENT_ID": config.client_id,
        "HYPHA_APP_ID": config.app_id,
        _MARK: str(work),
    }


def has_screens() -> bool:
    """Whether the package is there that knows what a terminal shows."""
    return find_spec("pyte") is not None
