"""Workers that are away for long, and those that are back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hypha.features.apps.absences import Absences
from hypha.features.apps.ledger import Ledger
from hypha.features.apps.sessions import SessionLimits, Sessions
from hypha.registry.records import ServiceRecord
from tests.unit.features.apps.lab import session_of


class World:
    """A session, its worker's client, and what follows."""

    def __init__(self) -> None:
        self.sessions = Sessions(SessionLimits(0, 0, 0))
        self.sessions.add(session_of())
        self.lost: list[tuple[str, str]] = []
        self.looked = 0
        self.state: Any = None

    def worker_lost(self, workspace: str, client_id: str) -> None:
        self.lost.append((workspace, client_id))

    def look(self) -> None:
        self.looked += 1

    def client(self, workspace: str, client_id: str) -> Any:
        return self.state


@pytest.mark.parametrize(
    ("is_held", "fails_fast", "is_lost"),
    [(False, False, False), (True, False, False), (True, True, True), (False, True, False)],
)
def test_a_worker_is_lost_when_nobody_waits_for_it_any_more(
    is_held: bool, fails_fast: bool, is_lost: bool
) -> None:
    world = World()
    world.state = SimpleNamespace(is_held=is_held, fails_fast=fails_fast)
    Absences(world, world, world).look()  # type: ignore[arg-type]
    assert world.lost == [("public", "w-1")] * is_lost and world.looked == 1
    world.state = None  # inside the server, or gone, of which is told elsewhere
    Absences(world, world, world).look()  # type: ignore[arg-type]
    assert world.lost == [("public", "w-1")] * is_lost


async def test_a_worker_that_is_back_is_told_to_stop_what_it_still_runs() -> None:
    told: list[str] = []
    works: list[Any] = []
    back: list[ServiceRecord] = []

    async def call(record: Any, function: str, args: Any, *more: Any) -> None:
        told.append(f"{function} {args[0]}")

    async def end(session_id: str) -> None:
        told.append(f"forgotten {session_id}")

    workers = SimpleNamespace(call=call, connected=lambda worker_id: back[0] if back else None)
    tasks = SimpleNamespace(start=lambda work, what: works.append(work) or True)
    records = SimpleNamespace(end=end)
    ledger = Ledger(records, None, None, workers, tasks)  # type: ignore[arg-type]
    session = session_of()
    ledger.leave(session)
    ledger.look()
    assert not works
    back.append(session.worker)
    ledger.look()
    ledger.look()
    (work,) = works
    await work
    assert told == [f"stop {session.id}", f"forgotten {session.id}"]
    ledger.look()
    assert len(works) == 1
