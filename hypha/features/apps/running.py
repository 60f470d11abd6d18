"""Sessions that run: how they end, by a call or because somebody is gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hypha.errors import HyphaError
from hypha.features.apps.sessions import Session, Sessions, Status
from hypha.features.apps.workers import STOP_TIMEOUT_S

if TYPE_CHECKING:
    from hypha.features.apps.identity import Identities
    from hypha.features.apps.ledger import Ledger
    from hypha.features.apps.workers import Workers
    from hypha.features.ports import ServicesPort, TasksPort
    from hypha.hub.hub import Hub
    from hypha.registry.index import Registry

logger = logging.getLogger(__name__)

STOPPED_KEPT_S = 300.0
"""How long the log of a script that has ended can be read."""
CLOSE_TIMEOUT_S, IDLE_TIMEOUT_S, LOOK_S = 5.0, 5.0, 0.05
LIVELY = (Status.RUNNING, Status.STOPPING)


class Running:
    """Ends sessions, and shows them."""

    def __init__(
        self,
        sessions: Sessions,
        workers: Workers,
        identities: Identities,
        ledger: Ledger,
        registry: Registry,
        services: ServicesPort,
        tasks: TasksPort,
        hub: Hub,
        stopped_kept_s: float = STOPPED_KEPT_S,
    ) -> None:
        self.sessions = sessions
        self._workers = workers
        self._identities = identities
        self._ledger = ledger
        self._registry = registry
        self._services = services
        self._tasks = tasks
        self._hub = hub
        self._stopped_kept_s = stopped_kept_s
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._hear_started: list[Callable[[Session], None]] = []
        self._hear_lost: list[Callable[[Session], None]] = []

    def follow(self, started: Callable[[Session], None], lost: Callable[[Session], None]) -> None:
        """Hear of each session that runs from now on, and of each whose program ends by itself."""
        self._hear_started.append(started)
        self._hear_lost.append(lost)

    def started(self, session: Session) -> None:
        """A session's program is ready."""
        session.status, session.starting = Status.RUNNING, None
        for hear in self._hear_started:
            hear(session)

    def shown(self, session: Session) -> dict[str, Any]:
        """A session, with the services that it offers now."""
        records = self._registry.of_client(session.workspace, session.client_id)
        found = [_brief(record) for record in records if not record.is_built_in]
        if found:
            session.services = found
        return session.shown()

    def begin(self, session: Session) -> None:
        """Count a new session.

        Raises:
            QuotaExceeded: there are too many.
        """
        self.sessions.add(session)
        self._services.note_program(session.workspace, session.client_id, session.app_id)

    async def stop(self, session: Session) -> None:
        """End a session, and its program; nothing of it is left when this returns."""
        if not self.forget(session):
            return
        if session.starting is not None:
            session.starting.cancel()
        await self._end_program(session)

    def forget(self, session: Session) -> bool:
        """Take a session out of what is shown; False if that was done already."""
        timer = self._timers.pop(session.id, None)
        if timer is not None:
            timer.cancel()
        is_there = self.sessions.remove(session)
        if is_there:
            self._services.forget_program(session.workspace, session.client_id)
        return is_there

    async def _end_program(self, session: Session) -> None:
        try:
            await self._workers.call(session.worker, "stop", [session.id], session.starter, STOP_TIMEOUT_S)
        except HyphaError as error:  # it is gone, or knows nothing of it any more
            logger.info("The worker %s did not stop %s: %s", session.worker.id, session.id, error.message)
        await self.end_token(session)

    async def end_token(self, session: Session) -> None:
        """Make the session's token invalid; its client is disconnected."""
        mark, session.token_mark = session.token_mark, ""
        await self._identities.end(mark, session.token_until)
        if mark:
            await self._ledger.end(session.id)

    def stop_soon(self, session: Session) -> None:
        """End a session without anybody waiting for that; it is no longer shown at once."""
        if self.forget(session):
            if session.starting is not None:
                session.starting.cancel()
            self._tasks.start(self._end_program(session), f"stopping {session.id}")

    def client_ended(self, workspace: str, client_id: str) -> None:
        """A client is gone: it may be the program of a session, or the worker of some."""
        session = self.sessions.find(f"{workspace}/{client_id}")
        if session is not None and session.status in LIVELY and not session.outlives_client:
            for hear in self._hear_lost:
                hear(session)
            if session.is_detached:
                self._script_ended(session)
            else:
                self.stop_soon(session)
        self.worker_lost(workspace, client_id)

    def worker_lost(self, workspace: str, client_id: str) -> None:
        """A client is gone, or away for long: the sessions on its workers are lost."""
        for lost in self.sessions.of_worker(workspace, client_id):
            if lost.starting is None and self.forget(lost):
                self._tasks.start(self._lost(lost), f"forgetting {lost.id}")

    async def _lost(self, session: Session) -> None:
        """Its worker is gone: should that come back, it is told to stop what it runs."""
        self._ledger.leave(session)
        mark, session.token_mark = session.token_mark, ""
        await self._identities.end(mark, session.token_until)

    def _script_ended(self, session: Session) -> None:
        session.status = Status.STOPPED
        self._timers[session.id] = asyncio.get_running_loop().call_later(
            self._stopped_kept_s, self.stop_soon, session
        )

    async def workspace_ended(self, workspace: str) -> None:
        """A workspace is gone: so are its sessions."""
        for session in self.sessions.of(workspace):
            self.stop_soon(session)

    async def until_idle(self) -> None:
        """Wait until programs owe no answers, but not for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE_TIMEOUT_S):
                while True:
                    clients = [
                        self._hub.client(session.workspace, session.client_id)
                        for session in self.sessions.all()
                    ]
                    if not any(
                        client is not None and client.is_live and client.pending for client in clients
                    ):
                        return
                    await asyncio.sleep(LOOK_S)

    async def close(self) -> None:
        """Stop all sessions, as far as workers answer soon."""
        sessions = self.sessions.all()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await asyncio.gather(*map(self.stop, sessions), return_exceptions=True)
        except TimeoutError:
            logger.warning("Some of %d sessions of apps did not stop in time.", len(sessions))
        for timer in self._timers.values():
            timer.cancel()


def _brief(record: Any) -> dict[str, Any]:
    """A service, without its schema, which may be large."""
    return {
        "id": record.id,
        "name": record.title or record.name,
        "type": record.type,
        "description": record.description,
        "app_id": record.app_id,
        "config": {
            "visibility": record.visibility,
            "require_context": record.config.get("require_context") is True,
            "authorized_workspaces": list(record.authorized_workspaces) or None,
        },
    }
