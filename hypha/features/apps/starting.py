"""Starting an app: one session on one worker, or the reason why not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypha.errors import CallFailed, HyphaError, InvalidRequest, PermissionDenied
from hypha.features.apps import logs
from hypha.features.apps.grants import CHANGED, mark_of
from hypha.features.apps.identity import SessionToken, new_client_id
from hypha.features.apps.scaling import Scaling, check_room
from hypha.features.apps.sessions import Session, Status
from hypha.features.apps.startup import Startup
from hypha.features.apps.workers import LOGS_TIMEOUT_S, START_MARGIN_S, Worker

if TYPE_CHECKING:
    from hypha.auth.expected import ExpectedClients
    from hypha.auth.users import Context
    from hypha.features.apps.artifacts import AppArtifacts
    from hypha.features.apps.choosing import Choosing
    from hypha.features.apps.identity import Identities
    from hypha.features.apps.ledger import Ledger
    from hypha.features.apps.running import Running
    from hypha.features.apps.steps import Steps
    from hypha.features.apps.waiting import Waiting
    from hypha.features.apps.workers import Workers

STOPPED = "it was stopped while it started"


class StartFailed(CallFailed):
    """An app did not start; `core` says why, without its log."""

    def __init__(self, app_id: str, core: str, log: str) -> None:
        super().__init__(f"Failed to start app '{app_id}', error: {core}, logs:\n{log}")
        self.core = core


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where programs find the server: people's address, and that of its own machine."""

    public: str
    local: str
    disable_ssl: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """What shall be started, and how. With `fresh` a session that runs already will not do.

    With `another` a scaled app gets one more instance.
    """

    app_id: str
    given: Mapping[str, Any] = field(default_factory=dict)
    version: object = None
    stage: bool = False
    worker_id: str | None = None
    mode: str | None = None
    fresh: bool = False
    another: bool = False
    granted: str | None = None
    """What somebody let be started unasked (`mark_of`): nothing else is."""


@dataclass(frozen=True, slots=True)
class StartParts:
    """What starting works with."""

    artifacts: AppArtifacts
    choosing: Choosing
    workers: Workers
    identities: Identities
    ledger: Ledger
    expected: ExpectedClients
    waiting: Waiting
    running: Running
    addresses: Addresses


class Starting:
    """Starts apps; callers that want the same app at the same time share one start."""

    def __init__(self, parts: StartParts) -> None:
        self._parts = parts
        self._is_closed = False
        self._begun: set[asyncio.Task[Session]] = set()
        self._shared: dict[tuple[str, str], asyncio.Task[Session]] = {}
        """Starts under way that others may share, by workspace and app."""

    async def start(self, wish: Wish, context: Context, steps: Steps) -> Session:
        """A session of an app: one that runs, where the app may be shared, else a new one.

        Raises:
            AppNotFound: there is no such app. InvalidRequest: it cannot be started so, or nobody runs it.
            StartFailed: its worker or its program failed, or it did not offer its service in time.
            QuotaExceeded: there are too many sessions. PermissionDenied.
        """
        artifact = await self._parts.artifacts.read(
            wish.app_id, context, version=wish.version, stage=wish.stage
        )
        manifest: dict[str, Any] = artifact["manifest"]
        if wish.granted is not None and mark_of(artifact) != wish.granted:
            raise PermissionDenied(CHANGED)
        if manifest.get("disabled") is True:
            raise InvalidRequest(f"App {wish.app_id} is disabled")
        startup = Startup.of(manifest, wish.given)
        is_single, is_scaled = manifest.get("singleton") is True, Scaling.of(manifest) is not None
        if wish.fresh or (not is_single and (manifest.get("daemon") is True or (is_scaled and wish.another))):
            return await self._alone(wish, artifact, startup, context, steps)
        key = (context.workspace, wish.app_id)
        under_way = self._shared.get(key)
        if under_way is None:
            for session in self._parts.running.sessions.of_app(*key):
                if session.status is Status.RUNNING and not session.is_trial:
                    return session
            under_way = self._shared[key] = self._begin(wish, artifact, startup, context, steps)
            under_way.add_done_callback(lambda _: self._shared.pop(key, None))
        return await _outcome(under_way, wish.app_id)

    async def _alone(
        self, wish: Wish, artifact: dict[str, Any], startup: Startup, context: Context, steps: Steps
    ) -> Session:
        return await _outcome(self._begin(wish, artifact, startup, context, steps), wish.app_id)

    def _begin(
        self, wish: Wish, artifact: dict[str, Any], startup: Startup, context: Context, steps: Steps
    ) -> asyncio.Task[Session]:
        """Start in a task of its own: whoever waits for it may leave."""
        if self._is_closed:
            raise StartFailed(wish.app_id, "the server stops", "")
        task = asyncio.create_task(self._start(wish, artifact, startup, context, steps))
        self._begun.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Session]) -> None:
        self._begun.discard(task)
        if not task.cancelled():
            task.exception()  # its waiters may all have left

    async def _start(
        self, wish: Wish, artifact: dict[str, Any], startup: Startup, context: Context, steps: Steps
    ) -> Session:
        parts, manifest = self._parts, artifact["manifest"]
        kind = str(manifest.get("type"))
        worker = await parts.choosing.choose(kind, wish.worker_id, wish.mode, context)
        session = Session(
            wish.app_id, new_client_id(), context, worker.record, kind, manifest, _version_of(artifact, wish),
            startup.service, startup.inactive_s, dict(startup.kwargs), timeout_s=startup.timeout_s,
            is_trial=wish.fresh,
            revision="" if wish.granted is None else artifact["revision"],
            starting=asyncio.current_task(),
        )  # fmt: skip
        if not session.is_trial:
            count = sum(
                not each.is_trial for each in parts.running.sessions.of_app(session.workspace, wish.app_id)
            )
            check_room(Scaling.of(manifest), wish.app_id, count)
        parts.running.begin(session)
        await steps.tell(f"Initializing worker {worker.id}")
        try:
            await self._run(session, worker, wish, startup, steps)
        except (HyphaError, asyncio.CancelledError) as error:
            await self._fail(session, error)
            raise AssertionError from error  # `_fail` raises
        parts.running.started(session)
        await steps.tell(f"App {wish.app_id} started", "success")
        return session

    async def _run(
        self, session: Session, worker: Worker, wish: Wish, startup: Startup, steps: Steps
    ) -> None:
        parts, daemon = self._parts, session.manifest.get("daemon") is True
        token = await parts.identities.issue(
            session.starter,
            session.client_id,
            wish.app_id,
            stage=wish.stage,
            daemon=daemon,
            revision=session.revision,
        )
        session.token_mark, session.token_until = token.mark, token.until
        await parts.ledger.begin(session)
        config = self._config(session, worker, startup, token)
        await steps.tell(f"Starting the app {wish.app_id}")

        async def start_it() -> None:
            await parts.workers.call(
                worker.record, "start", [config], session.starter, startup.timeout_s + START_MARGIN_S,
                {"progress_callback": steps.pass_on},
            )  # fmt: skip

        with parts.expected.expecting(session.workspace, session.client_id, token.user_id):
            if startup.service is None:
                await start_it()
                session.logs = await self._log_of(session)
                await steps.tell("Detached: no service is waited for")
                return
            await steps.tell(f"Waiting for the service {startup.service}")
            await _both(
                start_it(),
                parts.waiting.until_offered(
                    session.workspace, session.client_id, startup.service, startup.timeout_s, worker.record
                ),
            )
        session.service_id = f"{session.id}:{startup.service}@{wish.app_id}"
        await steps.tell(f"Service registered: {session.service_id}")

    def _config(
        self, session: Session, worker: Worker, startup: Startup, token: SessionToken
    ) -> dict[str, Any]:
        """What the worker is given; nothing in it that the server sets is of the caller's choice."""
        addresses, local = self._parts.addresses, worker.use_local_url
        server_url = local if isinstance(local, str) else addresses.local if local else addresses.public
        files = f"{server_url.rstrip('/')}/{session.workspace}/artifacts/{session.app_id}/files"
        return {
            "metadata": None,
            **startup.kwargs,
            "id": session.id,
            "app_id": session.app_id,
            "workspace": session.workspace,
            "client_id": session.client_id,
            "server_url": server_url,
            "public_base_url": addresses.public,
            "app_files_base_url": files,
            "token": token.token,
            "entry_point": session.manifest.get("entry_point"),
            "artifact_id": f"{session.workspace}/{session.app_id}",
            "app_type": session.app_type,
            "timeout": startup.timeout_s,
            "manifest": session.manifest,
            "progress_callback": None,
            "disable_ssl": addresses.disable_ssl,
        }

    async def _fail(self, session: Session, error: BaseException) -> None:
        """Leave nothing of a session that did not start, and raise why."""
        core = error.message if isinstance(error, HyphaError) else STOPPED
        session.starting = None
        has_begun = isinstance(error, HyphaError) and session.token_mark
        page = await self._log_of(session) if has_begun else None
        self._parts.running.stop_soon(session)
        raise StartFailed(session.app_id, core, logs.text_of(page) if page else "") from None

    async def _log_of(self, session: Session) -> dict[str, Any] | None:
        """What the worker has logged so far, if it tells."""
        try:
            answer = await self._parts.workers.call(
                session.worker, "get_logs", [session.id, None, 0, None], session.starter, LOGS_TIMEOUT_S
            )
        except HyphaError:
            return None
        return logs.page_of(answer, None, 0, None)

    async def close(self) -> None:
        """Break off all starts, and begin no more."""
        self._is_closed = True
        begun = list(self._begun)
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)


async def _both(first: Any, second: Any) -> None:
    """Wait for two; the error of the one that fails first is raised, and the other one broken off."""
    tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _outcome(starting: asyncio.Task[Session], app_id: str) -> Session:
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        if starting.cancelled():
            raise StartFailed(app_id, STOPPED, "") from None
        raise


def _version_of(artifact: Mapping[str, Any], wish: Wish) -> str | None:
    if wish.stage:
        return "stage"
    versions = [each.get("version") for each in artifact.get("versions") or ()]
    wanted = wish.version
    if isinstance(wanted, int) and not isinstance(wanted, bool) and 0 <= wanted < len(versions):
        return str(versions[wanted])
    return wanted if isinstance(wanted, str) and wanted != "latest" else versions[-1] if versions else None
