"""Daemons: when they are started again, and until when not."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from hypha.errors import CallFailed, InvalidRequest, PermissionDenied
from hypha.features.apps.daemons import MAX_PAUSE_S, DaemonParts, Daemons
from hypha.features.apps.grants import mark_of
from hypha.features.apps.records import Grant
from hypha.features.apps.sessions import Session, SessionLimits, Sessions, Status
from hypha.registry.records import ServiceRecord
from tests.unit.features.apps.lab import caller, session_of

KEY = ("lab", "app")
ARTIFACT: dict[str, Any] = {
    "revision": "0.0",
    "last_modified": 1,
    "versions": [],
    "file_count": 0,
    "manifest": {"daemon": True},
}


class World:
    """Everything that daemons work with; `error` is what a start raises, `now` the time."""

    def __init__(self) -> None:
        self.now, self.error, self.starts = 1000.0, None, 0  # type: ignore[var-annotated]
        self.told: list[tuple[str, str, dict[str, Any]]] = []
        self.sessions = Sessions(SessionLimits(0, 0, 0))
        self.works: list[Coroutine[Any, Any, Any]] = []
        self.is_connected = True
        self.service: str | None = "default"
        self.tells, self.runs = True, True
        self.artifact = ARTIFACT
        self.has_grant = True
        self.events = self  # the hub's
        parts: Any = DaemonParts(self, self, self, self, self, None, None, self)  # type: ignore[arg-type]
        object.__setattr__(parts, "tasks", Tasks(self.works))
        self.daemons = Daemons(parts, lambda: self.now)

    # grants, artifacts
    async def prune(self) -> None: ...

    async def find(self, workspace: str, app_id: str) -> Grant | None:
        grant = Grant(workspace, app_id, mark_of(ARTIFACT), True, {})
        return grant if self.has_grant else None

    async def daemons_of_all(self) -> list[Grant]:
        return [Grant(*KEY, "", True, {})]

    async def starter(self, grant: Grant) -> Any:
        return caller()

    async def read(self, app_id: str, context: Any) -> Any:
        return self.artifact

    # starting, running
    async def start(self, wish: Any, context: Any, steps: Any) -> Session:
        self.starts += 1
        if self.error is not None:
            raise self.error
        session = session_of(status=Status.RUNNING, manifest={"daemon": True}, wait_for_service=self.service)
        self.sessions.add(session)
        return session

    def stop_soon(self, session: Session) -> None:
        self.sessions.remove(session)

    # workers
    async def has(self, worker: Any, function: str) -> bool:
        return self.tells and function == "is_running"

    async def call(self, worker: Any, function: str, args: Any, *more: Any) -> Any:
        return self.runs

    # the hub
    def client(self, workspace: str, client_id: str) -> Any:
        return Live() if self.is_connected else None

    def publish(self, workspace: str, kind: str, data: dict[str, Any]) -> None:
        self.told.append((workspace, kind, data))

    @property
    def is_callback(self) -> Any:
        return lambda *given: False

    async def look(self) -> None:
        self.daemons.look()
        while self.works:
            await self.works.pop()


class Live:
    is_live = True


class Tasks:
    def __init__(self, works: list[Coroutine[Any, Any, Any]]) -> None:
        self._works = works

    def start(self, work: Coroutine[Any, Any, Any], what: str) -> bool:
        self._works.append(work)
        return True


@pytest.fixture
def world() -> World:
    made = World()
    made.daemons.keep(*KEY)
    return made


@pytest.mark.spec("apps-12.1.11")
async def test_a_daemon_is_started_again_when_its_client_has_ended(world: World) -> None:
    await world.look()
    await world.look()
    assert world.starts == 1
    world.is_connected = False
    await world.look()
    assert world.daemons.state(*KEY) == {
        "failures": 1, "reason": "Its program has ended, or lost its connection", "retry_in": 1.0,
    }  # fmt: skip
    await world.look()
    assert world.starts == 1
    world.now, world.is_connected = world.now + 1.0, True
    await world.look()
    assert world.starts == 2


@pytest.mark.parametrize("has_connected", [True, False])
async def test_a_script_that_has_ended_is_started_again(world: World, has_connected: bool) -> None:
    world.service, world.is_connected = None, has_connected
    await world.look()
    for _ in range(20):
        world.now += 1.0
        await world.look()
    assert world.starts == 1
    world.is_connected = world.runs = False
    world.now += 10.0
    await world.look()
    await world.look()
    assert world.daemons.state(*KEY)["failures"] == 1  # type: ignore[index]
    world.is_connected, world.runs, world.now = has_connected, True, world.now + 1.0
    await world.look()
    assert world.starts == 2


async def test_a_script_whose_worker_does_not_tell_is_believed_to_run(world: World) -> None:
    world.service, world.is_connected, world.tells, world.runs = None, False, False, False
    await world.look()
    for _ in range(20):
        world.now += 1.0
        await world.look()
    assert world.starts == 1


async def test_pauses_double_up_to_five_minutes_and_each_failure_is_told(world: World) -> None:
    world.error = CallFailed("no luck")
    pauses = []
    for _ in range(12):
        await world.look()
        state = world.daemons.state(*KEY)
        assert state is not None
        pauses.append(state["retry_in"])
        world.now += pauses[-1]
    assert pauses[:5] == [1.0, 2.0, 4.0, 8.0, 16.0] and pauses[-1] == MAX_PAUSE_S
    assert [(place, kind, data["failures"]) for place, kind, data in world.told][:2] == [
        ("lab", "app_daemon_failed", 1), ("lab", "app_daemon_failed", 2),
    ]  # fmt: skip
    assert world.told[0][2]["reason"] == "no luck"
    world.daemons.keep(*KEY)
    assert world.daemons.state(*KEY) == {"failures": 0, "reason": "", "retry_in": 0.0}


async def test_a_worker_that_comes_ends_the_pause(world: World) -> None:
    world.error = InvalidRequest("No server app worker found for app type: own")
    await world.look()
    await world.look()
    assert world.starts == 1
    world.error = None
    world.daemons.service_added(ServiceRecord("elsewhere", "c", "w", type="server-app-worker"))
    await world.look()
    assert world.starts == 1
    world.daemons.service_added(ServiceRecord("public", "c", "w", type="server-app-worker"))
    await world.look()
    assert world.starts == 2


@pytest.mark.parametrize("why", ["stopped", "changed", "no grant", "disabled", "refused"])
async def test_a_daemon_is_left_alone_when_nobody_wants_it_or_may_start_it(world: World, why: str) -> None:
    if why == "stopped":
        world.daemons.release(*KEY)
    elif why == "changed":
        world.artifact = {**ARTIFACT, "last_modified": 2}
    elif why == "no grant":
        world.has_grant = False
    elif why == "disabled":
        world.artifact = {**ARTIFACT, "manifest": {"daemon": True, "disabled": True}}
    else:
        world.error = PermissionDenied("no")
    await world.look()
    assert world.daemons.state(*KEY) is None
    assert world.starts == (1 if why == "refused" else 0)
