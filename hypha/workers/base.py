"""What a worker is made of: subclass `BaseWorker`, give three hooks, register it as a service."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from hypha.errors import HyphaError, PermissionDenied
from hypha.workers.logs import LogPage, items_of, page_of

logger = logging.getLogger(__name__)

Callback = Callable[..., object]
_WRITING = frozenset({"rw", "read_write", "a", "admin"})
"""Levels with which somebody may install programs, as user objects name them."""
CallContext = Mapping[str, Any]
"""Who calls, as the server says: `ws`, `user`, `from` and more."""


class SessionStatus(StrEnum):
    """Where a session stands."""

    STARTING = "starting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


class WorkerConfig(BaseModel):
    """What a session is to be started with. Keys that it doesn't name are kept, as attributes."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True)

    id: str
    """Of the session: `workspace/client_id`."""
    app_id: str
    workspace: str
    client_id: str
    server_url: str
    token: str | None = None
    entry_point: str | None = None
    artifact_id: str
    """`workspace/app_id`."""
    manifest: dict[str, Any]
    timeout: float | None = None
    """Seconds until the start counts as failed."""
    app_files_base_url: str | None = None
    progress_callback: Callback | None = None
    disable_ssl: bool = False
    public_base_url: str | None = None
    """Address of the server for people; `server_url` where it isn't given."""
    app_type: str | None = None
    """The type in the manifest, where it isn't given."""

    @model_validator(mode="after")
    def _fill(self) -> WorkerConfig:
        if self.public_base_url is None:
            self.public_base_url = self.server_url
        if self.app_type is None and isinstance(kind := self.manifest.get("type"), str):
            self.app_type = kind
        return self

    def get(self, key: str, default: Any = None) -> Any:
        """A value by its key, as from a dict."""
        return getattr(self, key, default) if key in self else default

    def __contains__(self, key: str) -> bool:
        return key in type(self).model_fields or key in (self.model_extra or {})


class SessionInfo(BaseModel):
    """A session of a worker."""

    session_id: str
    app_id: str
    workspace: str
    client_id: str
    status: SessionStatus
    app_type: str
    created_at: str
    """ISO 8601, UTC."""
    entry_point: str | None = None
    metadata: dict[str, Any] | None = None
    error: str | None = None


class WorkerError(HyphaError):
    """A worker could not do what it was asked for."""

    code = "worker_error"


class SessionNotFoundError(WorkerError):
    """The worker has no session of this id."""

    code, status, rpc_name = "not_found", 404, "SessionNotFoundError"


class WorkerNotAvailableError(WorkerError):
    """The worker cannot work here: a program, a package or a cluster is missing."""

    code, status = "worker_not_available", 503


async def safe_call_callback(callback: Callback | None, message: Mapping[str, Any]) -> None:
    """Tell a caller about progress. Without a callback nothing happens; one that fails is only logged."""
    if callback is None:
        return
    try:
        answer = callback(message)
        if inspect.isawaitable(answer):
            await answer
    except Exception as error:
        logger.warning("A progress callback failed: %s", error)


def progress(message: str) -> dict[str, str]:
    """What a progress callback is told of a step."""
    return {"type": "info", "message": message}


class BaseWorker:
    """Starts, stops and watches sessions of apps.

    A subclass gives `supported_types`, `name`, `description`, and either the hooks `_start_session`,
    `_stop_session` and `_get_session_logs`, or `start`, `stop` and `get_logs` themselves. With
    `require_context` every call is refused that comes from another workspace than the session's.
    """

    FAILED_SESSIONS: ClassVar[int] = 50
    """How many sessions that failed to start keep their logs until they are stopped."""
    _numbers: ClassVar[Iterator[int]] = itertools.count(1)

    def __init__(self) -> None:
        self.instance_id = f"{type(self).__name__}-{next(self._numbers)}"
        self._sessions: dict[str, SessionInfo] = {}
        self._session_data: dict[str, Any] = {}
        self._starting: dict[str, asyncio.Task[Any]] = {}

    # -- what it is -----------------------------------------------------------------------------

    @property
    def supported_types(self) -> list[str]:
        """The types of apps that it runs."""
        raise self._missing("the property supported_types")

    @property
    def name(self) -> str:
        """Its name, for people."""
        raise self._missing("the property name")

    @property
    def description(self) -> str:
        """What it does, for people."""
        raise self._missing("the property description")

    @property
    def visibility(self) -> str:
        """`protected` or `public`."""
        return "protected"

    @property
    def authorized_workspaces(self) -> Sequence[str]:
        """Other workspaces that may call a protected worker."""
        return ()

    @property
    def run_in_executor(self) -> bool:
        """Whether functions that aren't coroutines run in a thread."""
        return False

    @property
    def require_context(self) -> bool:
        """Whether calls say who called."""
        return False

    @property
    def use_local_url(self) -> bool | str:
        """Whether sessions reach the server by its local address; a text is the address itself."""
        return False

    @property
    def service_id(self) -> str:
        """Id of its service."""
        return self.instance_id

    # -- hooks ----------------------------------------------------------------------------------

    async def _start_session(self, config: WorkerConfig) -> Any:
        """Start a session; what is returned is kept in `self._session_data[config.id]`."""
        raise self._missing("_start_session or start")

    async def _stop_session(self, session_id: str) -> None:
        """End a session. It is called after a failed start, too."""
        raise self._missing("_stop_session or stop")

    async def _get_session_logs(
        self, session_id: str, log_type: str | None = None, offset: int = 0, limit: int | None = None
    ) -> Any:
        """All logs of a session: a page, a dict of lists by type, or a list."""
        raise self._missing("_get_session_logs or get_logs")

    def _missing(self, what: str) -> NotImplementedError:
        return NotImplementedError(f"The worker {type(self).__name__} lacks {what}.")

    # -- what the server calls ------------------------------------------------------------------

    async def start(
        self, config: WorkerConfig | Mapping[str, Any], context: CallContext | None = None
    ) -> str:
        """Start a session and return its id.

        Raises:
            ValueError: the config lacks something.
            PermissionDenied: the caller is of another workspace, or may not have programs run in this one.
            WorkerError: a session of this id is there, or was stopped while it started.
            Exception: whatever the hook raises; the session stays, as failed, until it is stopped.
        """
        config = config if isinstance(config, WorkerConfig) else WorkerConfig(**config)
        self._check_may_run(config.workspace, context)
        if config.id in self._sessions:
            raise WorkerError(f"The session {config.id} is there already: stop it first.")
        info = self._sessions[config.id] = _info(config)
        starting = self._starting[config.id] = asyncio.create_task(self._start_session(config))
        try:
            self._session_data[config.id] = await starting
            if info.status is SessionStatus.STARTING:  # the hook may know that it is over already
                info.status = SessionStatus.RUNNING
        except asyncio.CancelledError:
            if starting.cancelled() and info.status is SessionStatus.STOPPING:
                raise WorkerError(f"The session {config.id} was stopped while it started.") from None
            raise
        except Exception as error:
            info.status, info.error = SessionStatus.FAILED, str(error)
            raise
        finally:
            starting.cancel()
            self._starting.pop(config.id, None)
            await self._drop_failed()
        return config.id

    async def stop(self, session_id: str, context: CallContext | None = None) -> None:
        """End a session, also one that still starts; of one that isn't there nothing is left to do.

        Raises:
            PermissionDenied: the caller is of another workspace.
        """
        info = self._sessions.get(session_id)
        if info is None:
            return
        self._check_workspace(info.workspace, context)
        info.status = SessionStatus.STOPPING
        if starting := self._starting.get(session_id):
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await asyncio.wait([starting])
        try:
            await self._stop_session(session_id)
        finally:
            info.status = SessionStatus.STOPPED
            if self._sessions.get(session_id) is info:
                del self._sessions[session_id]
                self._session_data.pop(session_id, None)

    async def get_logs(
        self,
        session_id: str,
        type: str | None = None,
        offset: int = 0,
        limit: int | None = None,
        context: CallContext | None = None,
    ) -> LogPage:
        """A page of a session's log.

        Raises:
            SessionNotFoundError: there is no such session.
            PermissionDenied: the caller is of another workspace.
        """
        self._session(session_id, context)
        # asked for everything: `total` counts what is beyond the page, and old hooks give no types
        answer = await self._get_session_logs(session_id, None, 0, None)
        return page_of(items_of(answer), type, offset or 0, limit)

    async def compile(
        self,
        manifest: dict[str, Any],
        files: list[dict[str, Any]],
        config: Mapping[str, Any] | None = None,
        context: CallContext | None = None,
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Prepare an app when it is installed; here it stays as it is."""
        return manifest, files

    async def execute(
        self,
        session_id: str,
        script: str,
        config: Mapping[str, Any] | None = None,
        progress_callback: Callback | None = None,
        context: CallContext | None = None,
    ) -> Any:
        """Run a script in a session. It is offered only where a subclass has it."""
        raise self._missing("execute")

    async def shutdown(self, context: CallContext | None = None) -> None:
        """Stop all sessions of the caller's workspace; without a context, all."""
        for session_id, info in list(self._sessions.items()):
            if context is None or _caller_workspace(context) in (info.workspace, "*"):
                try:
                    await self.stop(session_id)
                except Exception:
                    logger.exception("The session %s did not stop", session_id)

    async def close(self) -> None:
        """Stop all sessions, and let go of what it holds; its program ends."""
        await self.shutdown()

    # -- its service ----------------------------------------------------------------------------

    def get_worker_service(self) -> dict[str, Any]:
        """The service to register; `execute` is in it where the subclass has it."""
        config: dict[str, Any] = {
            "visibility": self.visibility,
            "run_in_executor": self.run_in_executor,
            "require_context": self.require_context,
        }
        if self.authorized_workspaces:
            config["authorized_workspaces"] = list(self.authorized_workspaces)
        service: dict[str, Any] = {
            "id": self.service_id,
            "name": self.name,
            "description": self.description,
            "type": "server-app-worker",
            "config": config,
            "supported_types": list(self.supported_types),
            "use_local_url": self.use_local_url,
            "start": self.start,
            "stop": self.stop,
            "get_logs": self.get_logs,
            "compile": self.compile,
        }
        if type(self).execute is not BaseWorker.execute:
            service["execute"] = self.execute
        return service

    def get_service(self) -> dict[str, Any]:
        """The same as `get_worker_service`."""
        return self.get_worker_service()

    async def register_worker_service(self, server: Any) -> Any:
        """Register it with a server that `connect_to_server` gave; what the server says of it."""
        return await server.register_service(self.get_worker_service())

    # -- helpers --------------------------------------------------------------------------------

    def _session(self, session_id: str, context: CallContext | None) -> SessionInfo:
        """The session, if the caller may use it."""
        info = self._sessions.get(session_id)
        if info is None:
            raise SessionNotFoundError(f"Session {session_id} not found.")
        self._check_workspace(info.workspace, context)
        return info

    def _check_workspace(self, workspace: str, context: CallContext | None) -> None:
        """Refuse callers of other workspaces; the server itself acts for those whom it has checked."""
        if context is not None and _caller_workspace(context) not in (workspace, "*"):
            raise PermissionDenied("A session may only be used from its own workspace.")

    def _check_may_run(self, workspace: str, context: CallContext | None) -> None:
        """Refuse also those who may only read there: a config or script of theirs is any program.

        The server starts apps for readers too: what is installed was written by somebody who may write.
        """
        self._check_workspace(workspace, context)
        if context is None or _caller_workspace(context) == "*":
            return
        user = context.get("user")
        scope = user.get("scope") if isinstance(user, Mapping) and not user.get("is_anonymous") else None
        levels = scope.get("workspaces") if isinstance(scope, Mapping) else None
        known = levels if isinstance(levels, Mapping) else {}
        if _WRITING.isdisjoint((known.get(workspace), known.get("*"))):
            raise PermissionDenied(
                f"To have a worker run something needs read_write on {workspace}, as a signed-in user."
            )

    async def _drop_failed(self) -> None:
        """Let go of the oldest failed sessions."""
        failed = [key for key, info in self._sessions.items() if info.status is SessionStatus.FAILED]
        for session_id in failed[: -self.FAILED_SESSIONS]:
            with contextlib.suppress(Exception):
                await self.stop(session_id)


def _info(config: WorkerConfig) -> SessionInfo:
    metadata = config.get("metadata")
    return SessionInfo(
        session_id=config.id,
        app_id=config.app_id,
        workspace=config.workspace,
        client_id=config.client_id,
        status=SessionStatus.STARTING,
        app_type=config.app_type or "unknown",
        created_at=datetime.now(UTC).isoformat(),
        entry_point=config.entry_point,
        metadata=dict(metadata) if isinstance(metadata, Mapping) else None,
    )


def _caller_workspace(context: CallContext) -> str:
    """The workspace that a call came from, as the server stamped it; `*` is the server."""
    return str(context.get("from", "")).partition("/")[0]
