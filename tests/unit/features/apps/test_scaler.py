"""Scaling an app: when instances are added and drained, and when it ends."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from hypha.errors import CallFailed, NotFound
from hypha.features.apps.grants import mark_of
from hypha.features.apps.records import Grant
from hypha.features.apps.scaler import MAX_PAUSE_S, STEADY_S, Scaler, ScalerParts
from hypha.features.apps.scaling_records import ScalingState
from hypha.features.apps.sessions import Session, SessionLimits, Sessions, Status
from tests.unit.features.apps.lab import caller, session_of

KEY = ("lab", "app")
RULE = {
    "enabled": True, "max_instances": 3, "target_requests_per_instance": 10, "scale_up_cooldown": 0,
    "scale_down_cooldown": 0,
}  # fmt: skip


class World:
    """All that a scaler works with; each program has had `calls[client_id]` calls."""

    def __init__(self, **rule: Any) -> None:
        self.now, self.error = 1000.0, None  # type: ignore[var-annotated]
        self.manifest: dict[str, Any] = {"autoscaling": {**RULE, **rule}}
        self.sessions = Sessions(SessionLimits(0, 0, 0))
        self.calls: dict[str, int] = {}
        self.pending: dict[str, int] = {}
        self.rows: dict[tuple[str, str], ScalingState] = {}
        self.works: list[Coroutine[Any, Any, Any]] = []
        self.loads: dict[str, Any] = {}
        self.is_gone = False
        tasks = SimpleNamespace(start=self.begin)
        services = SimpleNamespace(is_callback=lambda *_: False, call=self.call)
        drain = SimpleNamespace(stop=self.drain)
        self.scaler = Scaler(
            ScalerParts(self, self, self, self, self, drain, self, services, tasks, self),  # type: ignore[arg-type]
            lambda: self.now,
            lambda: self.now,
        )

    def begin(self, work: Coroutine[Any, Any, Any], what: str) -> bool:
        self.works.append(work)
        return True

    async def call(self, service: str, function: str, **more: Any) -> Any:
        value = self.loads.get(service.rpartition(":")[0])
        if isinstance(value, Exception):
            raise value
        return value

    async def drain(self, session: Session) -> None:
        assert session.status is Status.STOPPING
        self.sessions.remove(session)

    # records
    @asynccontextmanager
    async def changing(self, workspace: str, user: Any) -> Any:
        if self.is_gone:
            raise NotFound("no workspace")
        yield SimpleNamespace(record=None)

    async def put(self, record: Any, state: ScalingState) -> None:
        self.rows[state.workspace, state.app_id] = state

    async def remove(self, workspace: str, app_id: str) -> None:
        self.rows.pop((workspace, app_id), None)

    async def adopt(self) -> list[ScalingState]:
        return list(self.rows.values())

    # grants, artifacts, starting
    @property
    def artifact(self) -> dict[str, Any]:
        return {
            "revision": "0.0",
            "last_modified": 1,
            "versions": [],
            "file_count": 0,
            "manifest": self.manifest,
        }

    async def find(self, workspace: str, app_id: str) -> Grant:
        return Grant(workspace, app_id, mark_of(self.artifact), False, {})

    async def starter(self, grant: Grant) -> Any:
        return caller()

    async def read(self, app_id: str, context: Any) -> Any:
        return self.artifact

    async def start(self, wish: Any, context: Any, steps: Any) -> Session:
        assert wish.another
        if self.error is not None:
            raise self.error
        return self.run()

    # the hub
    def client(self, workspace: str, client_id: str) -> Any:
        return SimpleNamespace(
            calls=self.calls.get(client_id, 0), pending=range(self.pending.get(client_id, 0))
        )

    @property
    def running(self) -> World:
        return self

    def run(self) -> Session:
        """An instance more."""
        session = session_of(status=Status.RUNNING, manifest=self.manifest)
        self.sessions.add(session)
        self.scaler.started(session)
        return session

    def count(self) -> int:
        return len(self.sessions)

    async def pass_s(self, seconds: int, calls: int = 0) -> None:
        """Let time pass, in which all instances together get so many calls each second."""
        for _ in range(seconds):
            self.now += 1.0
            for number, session in enumerate(self.sessions.all()):
                share = calls // self.count() + (number < calls % self.count())
                self.calls[session.client_id] = self.calls.get(session.client_id, 0) + share
            self.scaler.look()
            while self.works:
                await self.works.pop(0)


async def test_instances_are_added_and_taken_away_as_calls_come() -> None:
    world = World()
    world.run()
    await world.pass_s(5)
    assert world.count() == 1
    await world.pass_s(60, calls=1)
    assert world.count() == 3
    await world.pass_s(200, calls=20)
    assert world.count() == 3, "never more than the most"
    await world.pass_s(59)
    assert world.count() == 3, "a minute counts"
    await world.pass_s(10)
    assert world.count() == 1, "never less than the least"
    assert world.rows[KEY].wanted == 1


async def test_calls_that_are_not_answered_count_however_old_they_are() -> None:
    world = World()
    session = world.run()
    world.pending[session.client_id] = 12
    await world.pass_s(100)
    assert world.count() == 2


async def test_there_are_always_the_least_and_what_ended_by_itself_is_replaced_after_a_pause() -> None:
    world = World(min_instances=2)
    world.run()
    await world.pass_s(2)
    assert world.count() == 2
    pauses = []
    for _ in range(11):
        session = world.sessions.all()[0]
        world.scaler.lost(session)
        world.sessions.remove(session)
        since = world.now
        while world.count() < 2:
            await world.pass_s(1)
        pauses.append(world.now - since)
    assert pauses[:4] == [1.0, 2.0, 4.0, 8.0] and pauses[-1] == MAX_PAUSE_S
    await world.pass_s(int(STEADY_S))
    state = world.scaler.state(*KEY)
    assert state is not None and (state["failures"], state["reason"]) == (0, "")


async def test_a_start_that_fails_is_told_and_tried_again() -> None:
    world = World(min_instances=2)
    world.run()
    world.error = CallFailed("no luck")
    await world.pass_s(10)
    state = world.scaler.state(*KEY)
    assert state is not None and (state["instances"], state["wanted"]) == (1, 2)
    assert (state["failures"], state["reason"]) == (4, "no luck")
    world.error = None
    await world.pass_s(10)
    assert world.count() == 2


async def test_instances_say_their_load_themselves() -> None:
    world = World(metric_type="custom", custom_metric_function="get_load")
    session = world.run()
    world.loads[session.id] = 0.75
    await world.pass_s(15, calls=100)
    assert world.count() == 2, "0.8 is what one should have, 0.72 where another is added"
    for each in world.sessions.all():
        world.loads[each.id] = 0.3
    await world.pass_s(15)
    assert world.count() == 2
    world.loads[session.id] = CallFailed("does not say")
    world.loads[world.sessions.all()[1].id] = float("nan")
    await world.pass_s(15)
    assert world.count() == 2, "what they said before counts"
    for each in world.sessions.all():
        world.loads[each.id] = 0.1
    await world.pass_s(15)
    assert world.count() == 1


async def test_what_somebody_starts_or_stops_counts() -> None:
    world = World(scale_down_cooldown=60)
    first, second = world.run(), world.run()
    await world.pass_s(2)
    assert world.scaler.state(*KEY)["wanted"] == 2  # type: ignore[index]
    world.sessions.remove(second)
    world.scaler.stopped(*KEY)
    await world.pass_s(5)
    assert world.count() == 1
    world.sessions.remove(first)
    world.scaler.stopped(*KEY)
    await world.pass_s(5)
    assert world.count() == 0 and not world.scaler.has(*KEY) and not world.rows


async def test_another_server_goes_on_where_one_has_ended() -> None:
    world = World(scale_down_cooldown=60)
    for _ in range(3):
        world.run()
    await world.pass_s(1)
    after = World(scale_down_cooldown=60)
    after.rows = world.rows
    assert after.rows[KEY].wanted == 3
    await after.scaler.load()
    await after.pass_s(4)
    assert after.count() == 3


async def test_a_new_version_says_anew_how_it_is_scaled() -> None:
    world = World()
    world.run()
    world.manifest = {"autoscaling": {**RULE, "min_instances": 2}}
    world.scaler.changed(*KEY, world.manifest)
    await world.pass_s(2)
    assert world.count() == 2
    world.scaler.changed(*KEY, {})
    await world.pass_s(1)
    assert not world.scaler.has(*KEY) and not world.rows
    world.scaler.changed(*KEY, world.manifest)
    assert world.scaler.has(*KEY), "it runs already"
    await world.pass_s(1)


@pytest.mark.parametrize("way", ["released", "gone"])
async def test_nothing_is_written_of_an_app_that_is_scaled_no_more(way: str) -> None:
    world = World()
    world.run()
    if way == "released":
        world.scaler.release(*KEY)
    else:
        world.is_gone = True
    while world.works:
        await world.works.pop()  # what was begun last first
    assert not world.rows and not world.scaler.has(*KEY)


async def test_trials_and_other_apps_are_not_scaled() -> None:
    world = World()
    world.scaler.started(session_of(manifest=world.manifest, is_trial=True))
    world.scaler.started(session_of(manifest={"autoscaling": "nonsense"}))
    world.scaler.started(session_of(manifest={}))
    assert not world.scaler.has(*KEY)
