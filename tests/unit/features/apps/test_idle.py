"""When sessions are stopped that nobody uses."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from hypha.features.apps.idle import Idle
from hypha.features.apps.sessions import Session, SessionLimits, Sessions, Status
from tests.unit.features.apps.lab import session_of


@dataclass
class Client:
    last_received: float
    pending: dict[str, Any] = field(default_factory=dict)


class World:
    """Sessions, and the client of all of them; loop time is `time.monotonic`."""

    def __init__(self, client: Client | None) -> None:
        self.sessions = Sessions(SessionLimits(0, 0, 0))
        self.stopped: list[Session] = []
        self._client = client

    def stop_soon(self, session: Session) -> None:
        self.stopped.append(session)
        self.sessions.remove(session)

    def client(self, workspace: str, client_id: str) -> Client | None:
        return self._client

    def time(self) -> float:
        return time.monotonic()


def looked_at(client: Client | None, **fields: Any) -> bool:
    """Whether a session is stopped that has been there for 100 s, and may be quiet for 10."""
    world = World(client)
    given = {"status": Status.RUNNING, "stop_after_inactive_s": 10.0, **fields}
    world.sessions.add(session_of(active_at=time.monotonic() - 100, **given))
    Idle(world, world).look()  # type: ignore[arg-type]
    return bool(world.stopped)


@pytest.mark.parametrize("has_client", [True, False])
def test_a_quiet_session_is_stopped(has_client: bool) -> None:
    assert looked_at(Client(time.monotonic() - 50) if has_client else None)


def test_one_that_has_sent_something_or_owes_an_answer_is_not() -> None:
    assert not looked_at(Client(time.monotonic() - 5))
    assert not looked_at(Client(time.monotonic() - 50, {"call": 1}))


def test_nor_is_one_that_starts_or_has_ended_or_may_be_quiet_for_ever() -> None:
    for fields in (
        {"status": Status.STARTING}, {"status": Status.STOPPED}, {"stop_after_inactive_s": None},
    ):  # fmt: skip
        assert not looked_at(None, **fields)


def test_a_session_ends_with_its_token() -> None:
    assert looked_at(None, stop_after_inactive_s=None, token_until=time.time() - 1)
    assert not looked_at(None, stop_after_inactive_s=None, token_until=time.time() + 60)
