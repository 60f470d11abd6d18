"""Functions of the app controller for sessions: apps that run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.errors import CallFailed, InvalidRequest, NotFound
from hypha.features.apps import logs
from hypha.features.apps.base import ANSWER_BYTES, LOG_BYTES, Functions, checked_text
from hypha.features.apps.sessions import Session
from hypha.features.apps.starting import Wish
from hypha.features.apps.startup import MAX_TIMEOUT_S, checked_kwargs, given_startup
from hypha.features.apps.steps import MAX_EVENTS, Steps
from hypha.features.apps.workers import LOGS_TIMEOUT_S, START_MARGIN_S
from hypha.registry.calling import Lent
from hypha.values import is_number

if TYPE_CHECKING:
    from hypha.hub.callbacks import Function

Plain = dict[str, Any]
ON_SESSION = "read on current workspace, and on that of the session"
MAX_SCRIPT_CHARS = 1024 * 1024
EXECUTE_TIMEOUT_S = 600.0
PICTURE_TIMEOUT_S = 30.0
PICTURE_BYTES = 8 * 1024 * 1024


class SessionFunctions(Functions):
    """Sessions of apps."""

    @permission(Level.READ)
    async def start(
        self,
        app_id: str,
        timeout: float | None = None,
        version: str | None = None,
        wait_for_service: Any = None,
        stop_after_inactive: float | None = None,
        stage: bool = False,
        progress_callback: Any = None,
        additional_kwargs: Plain | None = None,
        worker_id: str | None = None,
        worker_selection_mode: str | None = None,
        *,
        context: Context,
    ) -> Plain:
        """Start an app, or find the session of it that runs; gives the session.

        Of an app that is scaled one more instance is started.

        The program acts with your rights on the workspace, up to read_write, until the session ends.

        Args:
            app_id: The app.
            timeout: Seconds that the start may take; as installed, else 60.
            version: The version; the latest if left out.
            wait_for_service: The service that shows that it has started; false returns at once.
            stop_after_inactive: Seconds without traffic after which the session is stopped; 0 for never.
            stage: Start what is staged of it.
            progress_callback: A function of yours that is told each step.
            additional_kwargs: Further keys of what the worker is given.
            worker_id: The worker that runs it.
            worker_selection_mode: How one of several workers is chosen: `random`, `first`, `last`, `exact`,
                `min_load`, `select:min:function`.
        """
        given = given_startup(timeout, wait_for_service, additional_kwargs, stop_after_inactive)
        wish = Wish(
            self.app(app_id), given, checked_text(version, "version"), stage is True,
            checked_text(worker_id, "worker_id"),
            checked_text(worker_selection_mode, "worker_selection_mode"), another=True,
        )  # fmt: skip
        steps = Steps(self.parts.services, progress_callback, context)
        session = await self.parts.starting.start(wish, context, steps)
        if session.manifest.get("daemon") is True:
            self.parts.daemons.keep(session.workspace, session.app_id)
        return self.parts.running.shown(session)

    @permission(Level.READ, note=ON_SESSION)
    async def stop(self, session_id: str, raise_exception: bool = True, *, context: Context) -> None:
        """Stop a session: its program ends, and its token is good for nothing more.

        Args:
            session_id: The session.
            raise_exception: false: it does not matter whether there is one.
        """
        try:
            session = await self._session(session_id, context)
        except NotFound:
            if raise_exception is not False:
                raise
            return
        self.parts.daemons.release(session.workspace, session.app_id)
        await self.parts.running.stop(session)
        self.parts.scaler.stopped(session.workspace, session.app_id)

    @permission(Level.READ, gives_bytes=ANSWER_BYTES)
    async def list_running(self, *, context: Context) -> list[Plain]:
        """List the sessions of the workspace, the oldest first."""
        running = self.parts.running
        return [running.shown(session) for session in running.sessions.of(context.workspace)]

    @permission(Level.READ, note=ON_SESSION)
    async def get_session_info(self, session_id: str, *, context: Context) -> Plain:
        """Describe a session.

        Args:
            session_id: The session.
        """
        return self.parts.running.shown(await self._session(session_id, context))

    @permission(Level.READ, note=ON_SESSION, gives_bytes=LOG_BYTES)
    async def get_logs(
        self,
        session_id: str,
        type: str | None = None,
        offset: Annotated[int, {"minimum": 0}] = 0,
        limit: Annotated[int | None, {"minimum": 1, "maximum": logs.MAX_ITEMS}] = None,
        *,
        context: Context,
    ) -> Plain:
        """Read the log of a session: `{"items": [{"type", "content"}], "total", "offset", "limit"}`.

        A page holds 2 MiB of text at most.

        Args:
            session_id: The session.
            type: Entries of one type alone, such as `stdout`.
            offset: How many entries to skip.
            limit: How many entries at most, 1 to 10,000; all of them if left out.
        """
        start, most, kind = logs.check_page(offset, limit, type)
        session = await self._session(session_id, context)
        answer = await self.parts.workers.call(
            session.worker, "get_logs", [session.id, kind, start, most], session.starter, LOGS_TIMEOUT_S
        )
        return logs.page_of(answer, kind, start, most)

    @permission(Level.READ_WRITE)
    async def stop_all(self, *, context: Context) -> int:
        """Stop all sessions of the workspace; gives how many there were."""
        running = self.parts.running
        self.parts.daemons.release_all(context.workspace)
        self.parts.scaler.release_all(context.workspace)
        sessions = running.sessions.of(context.workspace)
        await asyncio.gather(*map(running.stop, sessions), return_exceptions=True)
        return len(sessions)

    @permission(
        Level.READ_WRITE,
        note="read_write on current workspace, and on that of the session",
        gives_bytes=ANSWER_BYTES,
    )
    async def execute(
        self,
        session_id: str,
        script: str,
        config: Plain | None = None,
        progress_callback: Any = None,
        *,
        context: Context,
    ) -> Any:
        """Run a script in a session, as its worker does that; gives what the worker answers.

        Args:
            session_id: The session.
            script: The script, up to 1 MiB.
            config: For the worker, such as `{"timeout": 30}`.
            progress_callback: A function of yours that gets what comes meanwhile, as the worker tells it:
                up to 10,000 events of 256 KiB.
        """
        if not isinstance(script, str) or len(script) > MAX_SCRIPT_CHARS:
            raise InvalidRequest(f"script is a text of up to {MAX_SCRIPT_CHARS:,} characters.")
        session = await self._session(session_id, context, Level.READ_WRITE)
        given = checked_kwargs(config, "config")
        steps = Steps(self.parts.services, progress_callback, context, MAX_EVENTS)
        callbacks = {"progress": steps.pass_event} if progress_callback is not None else {}
        lent = Lent("progress") if callbacks else None
        seconds = given.get("timeout")
        timeout_s = EXECUTE_TIMEOUT_S if not is_number(seconds) else min(abs(seconds), MAX_TIMEOUT_S)
        args = [session.id, script, dict(given), lent]
        return await self._ask(session, "execute", args, timeout_s + START_MARGIN_S, callbacks)

    @permission(Level.READ, note=ON_SESSION, gives_bytes=PICTURE_BYTES)
    async def take_screenshot(self, session_id: str, format: str = "png", *, context: Context) -> bytes:
        """Take a picture of a session whose worker shows one.

        Args:
            session_id: The session.
            format: `png` or `jpeg`.
        """
        if format not in ("png", "jpeg"):
            raise InvalidRequest("format is 'png' or 'jpeg'.")
        session = await self._session(session_id, context)
        found = await self._ask(session, "take_screenshot", [session.id, format], PICTURE_TIMEOUT_S)
        if not isinstance(found, bytes):
            raise CallFailed(f"The worker {session.worker.id} gave no picture.")
        return found

    async def _ask(
        self,
        session: Session,
        function: str,
        args: list[Any],
        timeout_s: float,
        callbacks: Mapping[str, Function] | None = None,
    ) -> Any:
        workers = self.parts.workers
        if not await workers.has(session.worker, function):
            raise InvalidRequest(f"The worker {session.worker.id} has no {function}.")
        return await workers.call(session.worker, function, args, session.starter, timeout_s, callbacks)

    async def _session(self, session_id: object, context: Context, level: Level = Level.READ) -> Session:
        """A session that the caller may have to do with; of other workspaces nothing is told.

        Raises:
            PermissionDenied, NotFound.
        """
        workspace = session_id.partition("/")[0] if isinstance(session_id, str) else ""
        if "/" in str(session_id):
            await self.place(workspace, context, level)
        return self.parts.running.sessions.get(session_id)
