"""Scaling apps: instances are added and taken away as they are used.

An app is scaled from its first start on until somebody stops its last instance. What is added runs in its
installer's name, as a daemon does. How many instances there are to be outlives the server, see
`scaling_records`; what was counted of calls does not.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypha.auth.users import root_user
from hypha.errors import HyphaError, InvalidRequest, NotFound, PermissionDenied
from hypha.features.apps.grants import CHANGED, mark_of
from hypha.features.apps.scaling import Scaling, Window
from hypha.features.apps.scaling_records import ScalingRecords, ScalingState
from hypha.features.apps.sessions import Session, Status
from hypha.features.apps.starting import Wish
from hypha.features.apps.steps import Steps
from hypha.values import is_number

if TYPE_CHECKING:
    from hypha.features.apps.artifacts import AppArtifacts
    from hypha.features.apps.draining import Draining
    from hypha.features.apps.grants import Grants
    from hypha.features.apps.running import Running
    from hypha.features.apps.starting import Starting
    from hypha.features.ports import ServicesPort, TasksPort
    from hypha.hub.hub import Hub
    from hypha.workspaces.lifecycle import Workspaces

logger = logging.getLogger(__name__)

Key = tuple[str, str]

LOOK_S = 1.0
ASK_EVERY_S = 5.0
"""Between two looks at what instances say of their load themselves."""
ASK_TIMEOUT_S = 2.0
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 300.0
"""After an instance could not be added; each time twice as long."""
STEADY_S = 60.0
"""When all went well for so long, pauses begin anew."""
MAX_REASON_CHARS = 500


@dataclass(slots=True)
class Scaled:
    """One app: how it is scaled, how many instances it is to have, and how that goes.

    `up_at` and `down_at` are Unix times, `failed_at`, `due` and `asked` of `time.monotonic` (s).
    """

    scaling: Scaling | None
    wanted: int
    up_at: float = 0.0
    down_at: float = 0.0
    is_changing: bool = False
    failures: int = 0
    reason: str = ""
    failed_at: float = 0.0
    due: float = 0.0
    asked: float = 0.0
    windows: dict[str, Window] = field(default_factory=dict)
    loads: dict[str, float] = field(default_factory=dict)

    def failed(self, reason: str, now: float) -> None:
        """An instance could not be added, or has ended by itself."""
        self.failures += 1
        self.failed_at = now
        self.reason = reason[:MAX_REASON_CHARS]
        self.due = now + min(FIRST_PAUSE_S * 2 ** min(self.failures - 1, 20), MAX_PAUSE_S)


@dataclass(frozen=True, slots=True)
class ScalerParts:
    """What scaling works with."""

    records: ScalingRecords
    grants: Grants
    artifacts: AppArtifacts
    starting: Starting
    running: Running
    draining: Draining
    workspaces: Workspaces
    services: ServicesPort
    tasks: TasksPort
    hub: Hub


class Scaler:
    """Scales apps."""

    def __init__(
        self,
        parts: ScalerParts,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], float] = time.time,
    ) -> None:
        self._parts = parts
        self._clock = clock
        self._today = today
        self._apps: dict[Key, Scaled] = {}
        self._is_closed = False

    async def load(self) -> None:
        """Go on where servers before this one have ended."""
        for state in await self._parts.records.adopt():
            self._apps[state.workspace, state.app_id] = Scaled(None, state.wanted, state.up_at, state.down_at)

    def close(self) -> None:
        """The server stops: no instance is added any more. What is written down is for the next one."""
        self._is_closed = True
        self._apps.clear()

    def has(self, workspace: str, app_id: str) -> bool:
        """Whether an app is scaled."""
        return (workspace, app_id) in self._apps

    def state(self, workspace: str, app_id: str) -> dict[str, Any] | None:
        """How an app is scaled now, for people; None if it is not."""
        scaled = self._apps.get((workspace, app_id))
        if scaled is None:
            return None
        instances = self._instances((workspace, app_id))
        return {
            "instances": len(instances), "wanted": scaled.wanted, "loads": dict(scaled.loads),
            "failures": scaled.failures, "reason": scaled.reason,
        }  # fmt: skip

    def started(self, session: Session) -> None:
        """A session runs: it may be the first of an app that is to be scaled."""
        key = (session.workspace, session.app_id)
        if session.is_trial:
            return
        if key in self._apps:
            self._raise_to(key, self._apps[key], self._running(key))
            return
        try:
            scaling = Scaling.of(session.manifest)
        except InvalidRequest:  # somebody has changed the artifact itself
            return
        if scaling is not None:
            self._apps[key] = Scaled(scaling, scaling.fewest)
            self._write(key)

    def changed(self, workspace: str, app_id: str, manifest: dict[str, Any]) -> None:
        """A new version of an app was committed."""
        key, scaling = (workspace, app_id), Scaling.of(manifest)
        if scaling is None or manifest.get("disabled") is True:
            self.release(workspace, app_id)
        elif key in self._apps:
            self._apps[key].scaling = scaling
        elif instances := self._instances(key):
            self._apps[key] = Scaled(scaling, scaling.within(len(instances)))
            self._write(key)

    def stopped(self, workspace: str, app_id: str) -> None:
        """Somebody has stopped an instance; with the last one scaling ends."""
        scaled = self._apps.get((workspace, app_id))
        if scaled is None:
            return
        if not self._instances((workspace, app_id)):
            self.release(workspace, app_id)
        else:
            scaled.wanted -= 1

    def lost(self, session: Session) -> None:
        """The program of an instance has ended by itself."""
        scaled = self._apps.get((session.workspace, session.app_id))
        if scaled is not None and session.status is Status.RUNNING:
            scaled.failed("An instance has ended, or lost its connection", self._clock())

    def release(self, workspace: str, app_id: str) -> None:
        """Somebody wants all instances to stop: the app is scaled no more, until it is started."""
        if self._apps.pop((workspace, app_id), None) is not None:
            removing = self._parts.records.remove(workspace, app_id)
            self._parts.tasks.start(removing, f"forgetting how {app_id} is scaled")

    def release_all(self, workspace: str) -> None:
        """The same for all apps of a workspace."""
        for _, app_id in [key for key in self._apps if key[0] == workspace]:
            self.release(workspace, app_id)

    async def workspace_ended(self, workspace: str) -> None:
        """A workspace is gone, and its rows with it."""
        for key in [key for key in self._apps if key[0] == workspace]:
            del self._apps[key]

    async def run(self) -> None:
        """Look, until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Count, and change what is to be changed; one instance of an app at a time."""
        now = self._clock()
        for key, scaled in list(self._apps.items()):
            instances = self._instances(key)
            self._count(scaled, instances, now)
            if scaled.failures and now - scaled.failed_at >= STEADY_S and len(instances) >= scaled.wanted:
                scaled.failures, scaled.reason = 0, ""
            if scaled.is_changing:
                continue
            running = self._running(key)
            if scaled.scaling is not None and scaled.scaling.metric and now - scaled.asked >= ASK_EVERY_S:
                scaled.asked = now
                self._begin(scaled, self._ask(scaled, scaled.scaling.metric, running), key)
            else:
                self._change(key, scaled, instances, now)

    def _instances(self, key: Key) -> list[Session]:
        """What counts of an app: neither trials nor what is about to stop."""
        counting = (Status.STARTING, Status.RUNNING)
        found = self._parts.running.sessions.of_app(*key)
        return [each for each in found if each.status in counting and not each.is_trial]

    def _count(self, scaled: Scaled, instances: list[Session], now: float) -> None:
        """Learn the calls of the last minute; what is not answered counts, however old it is."""
        ids = {session.id for session in instances}
        for known in (scaled.windows, scaled.loads):
            for gone in known.keys() - ids:
                del known[gone]
        for session in instances:
            client = self._parts.hub.client(session.workspace, session.client_id)
            if client is None:
                continue
            calls = scaled.windows.setdefault(session.id, Window()).calls(client.calls, now)
            if scaled.scaling is None or scaled.scaling.metric is None:
                scaled.loads[session.id] = float(max(calls, len(client.pending)))

    async def _ask(self, scaled: Scaled, metric: str, running: list[Session]) -> None:
        """Ask instances for their load; of one that doesn't say it, what it said before counts."""

        async def ask(session: Session) -> None:
            service = session.service_id or f"{session.id}:default"
            try:
                value = await self._parts.services.call(
                    service.partition("@")[0], metric, context=session.starter, timeout_s=ASK_TIMEOUT_S
                )
            except HyphaError as error:
                scaled.reason = f"{metric}: {error.message}"[:MAX_REASON_CHARS]
                return
            if is_number(value):
                scaled.loads[session.id] = float(value)

        await asyncio.gather(*map(ask, running))

    def _change(self, key: Key, scaled: Scaled, instances: list[Session], now: float) -> None:
        running = [each for each in instances if each.status is Status.RUNNING]
        if scaled.scaling is not None:
            self._raise_to(key, scaled, running)
            scaled.wanted = scaled.scaling.within(scaled.wanted)
            if len(instances) == len(running) == scaled.wanted:
                self._decide(key, scaled, scaled.scaling, running)
        if len(instances) < scaled.wanted and now >= scaled.due:
            self._begin(scaled, self._add(key, scaled), key)
        elif len(running) > scaled.wanted:
            self._take_away(scaled, running)

    def _running(self, key: Key) -> list[Session]:
        return [each for each in self._instances(key) if each.status is Status.RUNNING]

    def _raise_to(self, key: Key, scaled: Scaled, running: list[Session]) -> None:
        """Somebody may have started more than were wanted: these are."""
        if scaled.scaling is not None and scaled.wanted < len(running):
            scaled.wanted, scaled.down_at = len(running), self._today()
            self._write(key)

    def _decide(self, key: Key, scaled: Scaled, scaling: Scaling, instances: list[Session]) -> None:
        if any(each.id not in scaled.loads for each in instances):
            return  # nothing is known of one
        today = self._today()
        step = scaling.step(list(scaled.loads.values()), today, scaled.up_at, scaled.down_at)
        if step:
            scaled.wanted += step
            if step > 0:
                scaled.up_at = today
            else:
                scaled.down_at = today
            self._write(key)

    def _take_away(self, scaled: Scaled, running: list[Session]) -> None:
        """Drain the one that is used least, of those the one that came last."""
        least = min(reversed(running), key=lambda each: scaled.loads.get(each.id, 0.0))
        least.status = Status.STOPPING
        if not self._parts.tasks.start(self._parts.draining.stop(least), f"draining {least.id}"):
            least.status = Status.RUNNING

    def _begin(self, scaled: Scaled, work: Any, key: Key) -> None:
        async def until_done() -> None:
            try:
                await work
            finally:
                scaled.is_changing = False

        scaled.is_changing = True
        if not self._parts.tasks.start(until_done(), f"scaling {key[1]}"):
            work.close()
            scaled.is_changing = False

    async def _add(self, key: Key, scaled: Scaled) -> None:
        workspace, app_id = key
        try:
            grant = await self._parts.grants.find(workspace, app_id)
            if grant is None:
                raise PermissionDenied("Nobody lets it be started: commit it with commit_app")
            starter = await self._parts.grants.starter(grant)
            artifact = await self._parts.artifacts.read(app_id, starter)
            manifest = artifact["manifest"]
            scaled.scaling = Scaling.of(manifest)
            if scaled.scaling is None or manifest.get("disabled") is True:
                self.release(workspace, app_id)
                return
            if mark_of(artifact) != grant.mark:
                raise PermissionDenied(CHANGED)
            steps = Steps(self._parts.services, None, starter)
            await self._parts.starting.start(Wish(app_id, another=True, granted=grant.mark), starter, steps)
        except NotFound:
            self.release(workspace, app_id)
        except HyphaError as error:
            scaled.failed(getattr(error, "core", error.message), self._clock())
            if scaled.failures == 1:
                logger.warning("No instance could be added to %s of %s: %s", app_id, workspace, scaled.reason)

    def _write(self, key: Key) -> None:
        self._parts.tasks.start(self._keep(key), f"writing down how {key[1]} is scaled")

    async def _keep(self, key: Key) -> None:
        try:
            async with self._parts.workspaces.changing(key[0], root_user()) as resident:
                scaled = self._apps.get(key)
                if scaled is not None:
                    state = ScalingState(*key, scaled.wanted, scaled.up_at, scaled.down_at)
                    await self._parts.records.put(resident.record, state)
        except NotFound:
            self._apps.pop(key, None)  # its workspace is gone
        if key not in self._apps and not self._is_closed:  # released meanwhile
            await self._parts.records.remove(*key)
