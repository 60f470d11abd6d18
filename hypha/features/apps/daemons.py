"""Daemons: apps that are started again when they have ended, sooner or later, until somebody stops them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypha.errors import HyphaError, NotFound, PermissionDenied
from hypha.features.apps.grants import CHANGED, mark_of
from hypha.features.apps.sessions import Session, Status
from hypha.features.apps.starting import Wish
from hypha.features.apps.steps import Steps
from hypha.features.apps.workers import LOGS_TIMEOUT_S, TYPE

if TYPE_CHECKING:
    from hypha.features.apps.artifacts import AppArtifacts
    from hypha.features.apps.grants import Grants
    from hypha.features.apps.running import Running
    from hypha.features.apps.starting import Starting
    from hypha.features.apps.workers import Workers
    from hypha.features.ports import ServicesPort, TasksPort
    from hypha.hub.hub import Hub
    from hypha.registry.records import ServiceRecord

logger = logging.getLogger(__name__)

Key = tuple[str, str]

LOOK_S = 0.5
PRUNE_EVERY_S = 3600.0
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 300.0
"""Between two starts of a daemon that fails; each time twice as long."""
STEADY_S = 60.0
"""A daemon that ran for so long begins anew with short pauses."""
AWAY_S = 30.0
"""A daemon whose client is away for longer is taken for dead."""
MAX_STARTS = 8
"""Daemons that are started at once."""
MAX_REASON_CHARS = 500
EVENT = "app_daemon_failed"
ASK_EVERY_S = 5.0
IS_RUNNING = "is_running"
"""What a worker may offer: whether the program of a session runs, true or false."""


@dataclass(slots=True)
class Kept:
    """One daemon: how often it failed in a row, why, and when it is started next (`time.monotonic`).

    `asked` is when its worker was last asked whether it runs.
    """

    failures: int = 0
    reason: str = ""
    due: float = 0.0
    asked: float = 0.0
    is_starting: bool = False
    away_since: float | None = None

    def pause_s(self) -> float:
        """How long it is left alone after a failure."""
        return float(min(FIRST_PAUSE_S * 2 ** min(self.failures - 1, 20), MAX_PAUSE_S))


@dataclass(frozen=True, slots=True)
class DaemonParts:
    """What keeping daemons works with."""

    grants: Grants
    artifacts: AppArtifacts
    starting: Starting
    running: Running
    workers: Workers
    services: ServicesPort
    tasks: TasksPort
    hub: Hub


class Daemons:
    """Keeps daemons running."""

    def __init__(self, parts: DaemonParts, clock: Callable[[], float] = time.monotonic) -> None:
        self._parts = parts
        self._clock = clock
        self._kept: dict[Key, Kept] = {}
        self._gate = asyncio.Semaphore(MAX_STARTS)

    async def load(self) -> None:
        """Keep those running that are installed."""
        await self._parts.grants.prune()
        for grant in await self._parts.grants.daemons():
            self._kept[grant.workspace, grant.app_id] = Kept()

    def keep(self, workspace: str, app_id: str) -> None:
        """Somebody has started a daemon: it is kept running, and what failed before counts no more."""
        self._kept[workspace, app_id] = Kept()

    def release(self, workspace: str, app_id: str) -> None:
        """Somebody has stopped it: it stays so until it is started, or the server is."""
        self._kept.pop((workspace, app_id), None)

    def release_all(self, workspace: str) -> None:
        """The same for all daemons of a workspace."""
        for key in [key for key in self._kept if key[0] == workspace]:
            del self._kept[key]

    def close(self) -> None:
        """The server stops: none is started any more."""
        self._kept.clear()

    def state(self, workspace: str, app_id: str) -> dict[str, Any] | None:
        """How a daemon fares, for people; None if it is not kept running."""
        kept = self._kept.get((workspace, app_id))
        if kept is None:
            return None
        wait_s = max(0.0, kept.due - self._clock()) if kept.failures else 0.0
        return {"failures": kept.failures, "reason": kept.reason, "retry_in": round(wait_s, 1)}

    def service_added(self, record: ServiceRecord) -> None:
        """A worker came: whoever waits may be started at once."""
        if record.type == TYPE:
            for (workspace, _), kept in self._kept.items():
                if record.workspace in (workspace, "public"):
                    kept.due = 0.0

    async def run(self) -> None:
        """Look, until it is cancelled."""
        pruned = self._clock()
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()
            if self._clock() - pruned >= PRUNE_EVERY_S:
                pruned = self._clock()
                await self._parts.grants.prune()

    def look(self) -> None:
        """Start what has ended and is due."""
        now = self._clock()
        for key, kept in list(self._kept.items()):
            if kept.is_starting:
                continue
            sessions = self._parts.running.sessions.of_app(*key)
            session = next((each for each in sessions if not each.is_trial), None)
            if session is not None:
                self._watch(key, kept, session, now)
            elif now >= kept.due:
                kept.is_starting = True
                if not self._parts.tasks.start(self._start(key, kept), f"starting the daemon {key[1]}"):
                    kept.is_starting = False

    def _watch(self, key: Key, kept: Kept, session: Session, now: float) -> None:
        """See whether the program of a session is still there."""
        if session.status is not Status.RUNNING or session.manifest.get("worker_managed") is True:
            return
        if kept.failures and time.time() - session.created_at >= STEADY_S:
            kept.failures, kept.reason = 0, ""
        client = self._parts.hub.client(session.workspace, session.client_id)
        if client is not None and client.is_live:
            kept.away_since, session.has_connected = None, True
            return
        if session.is_detached and not session.has_connected:  # a script that need not connect
            if now - kept.asked >= ASK_EVERY_S:
                kept.asked = now
                self._parts.tasks.start(self._ask(key, kept, session), f"looking after {session.id}")
            return
        since = kept.away_since = now if kept.away_since is None else kept.away_since
        if client is None or now - since >= AWAY_S:
            kept.away_since = None
            self._parts.running.stop_soon(session)
            self._failed(key, kept, "Its program has ended, or lost its connection")

    async def _ask(self, key: Key, kept: Kept, session: Session) -> None:
        """Ask the worker of a script whether that still runs; if it doesn't tell, it does."""
        workers = self._parts.workers
        try:
            if not await workers.has(session.worker, IS_RUNNING):
                return
            answer = await workers.call(
                session.worker, IS_RUNNING, [session.id], session.starter, LOGS_TIMEOUT_S
            )
        except HyphaError:
            return  # it is seen elsewhere whether the worker is gone
        if answer is False and self._parts.running.sessions.has(session):
            self._parts.running.stop_soon(session)
            self._failed(key, kept, "Its program has ended")

    async def _start(self, key: Key, kept: Kept) -> None:
        workspace, app_id = key
        try:
            async with self._gate:
                grant = await self._parts.grants.find(workspace, app_id)
                if grant is None:
                    self.release(workspace, app_id)
                    return
                starter = await self._parts.grants.starter(grant)
                artifact = await self._parts.artifacts.read(app_id, starter)
                manifest = artifact["manifest"]
                if manifest.get("daemon") is not True or manifest.get("disabled") is True:
                    self.release(workspace, app_id)
                    return
                if mark_of(artifact) != grant.mark:
                    raise PermissionDenied(CHANGED)
                steps = Steps(self._parts.services, None, starter)
                await self._parts.starting.start(Wish(app_id, granted=grant.mark), starter, steps)
        except (PermissionDenied, NotFound) as error:
            self.release(workspace, app_id)
            self._tell(key, kept, error.message, None)
        except HyphaError as error:
            self._failed(key, kept, getattr(error, "core", error.message))
        finally:
            kept.is_starting = False

    def _failed(self, key: Key, kept: Kept, reason: str) -> None:
        kept.failures += 1
        kept.reason = reason[:MAX_REASON_CHARS]
        pause_s = kept.pause_s()
        kept.due = self._clock() + pause_s
        self._tell(key, kept, reason, pause_s)

    def _tell(self, key: Key, kept: Kept, reason: str, retry_in: float | None) -> None:
        workspace, app_id = key
        if kept.failures <= 1:  # one line for a daemon that fails again and again
            logger.warning("The daemon %s of %s does not run: %s", app_id, workspace, reason[:200])
        data = {
            "app_id": app_id,
            "failures": kept.failures,
            "reason": kept.reason or reason[:MAX_REASON_CHARS],
        }
        self._parts.hub.events.publish(workspace, EVENT, {**data, "retry_in": retry_in})
