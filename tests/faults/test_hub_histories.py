"""Promise table against random histories: join, call, answer, cut, resume, replace, leave, wait (F16).

The oracle is simple: it knows which calls were made, what each callee received on any of its links
and how each call ended. Links lose what was written to them and not acknowledged, or not: the
callee's `arrived` says which.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tests.kit.world import World

NAMES = ["a", "b", "c"]
INTERVAL_S = 5.0


class Histories(RuleBasedStateMachine):
    """Three clients of one workspace and everything that may happen to them."""

    running = Bundle("running")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world: World = self.loop.run_until_complete(self._make())
        self.clients: dict[str, Any] = {}
        self.links: dict[str, list[Any]] = {name: [] for name in NAMES}
        self.calls: dict[str, tuple[str, str, float]] = {}
        self.count = 0

    async def _make(self) -> World:
        return World()

    def teardown(self) -> None:
        self.world.hub.stop()
        self.loop.close()

    def _client(self, name: str) -> Any | None:
        client = self.clients.get(name)
        return None if client is None or client.ended else client

    @rule(name=st.sampled_from(NAMES))
    def join(self, name: str) -> None:
        if self._client(name) is None:
            client, link = self.world.join(name)
            self.clients[name] = client
            self.links[name].append(link)

    @rule(name=st.sampled_from(NAMES), code=st.sampled_from([1006, 1006, 1006, 1000]))
    def cut(self, name: str, code: int) -> None:
        client = self._client(name)
        if client is not None and client.is_live:
            self.world.lose(client, code)

    @rule(name=st.sampled_from(NAMES), opens=st.booleans())
    def resume(self, name: str, opens: bool) -> None:
        client = self._client(name)
        if client is not None:
            self.links[name].append(self.world.rejoin(client))
            if opens:
                self.world.hub.resume.open(client)

    @rule(name=st.sampled_from(NAMES))
    def first_frame(self, name: str) -> None:
        client = self._client(name)
        if client is not None and client.is_live and not client.is_open:
            self.world.hub.resume.open(client)

    @rule(name=st.sampled_from(NAMES))
    def replace(self, name: str) -> None:
        client = self._client(name)
        if client is not None:
            self.world.hub.end(client, "replaced")

    @rule(target=running, caller=st.sampled_from(NAMES), callee=st.sampled_from(NAMES))
    def call(self, caller: str, callee: str) -> str:
        self.count += 1
        session = f"S{self.count}"
        client = self._client(caller)
        if client is not None and client.is_open:
            self.calls[session] = (caller, callee, self.world.now)
            self.world.call(client, f"w/{callee}", session, t=INTERVAL_S)
        return session

    @rule(session=consumes(running), heartbeat=st.booleans())
    def answer(self, session: str, heartbeat: bool) -> None:
        if session not in self.calls:
            return
        caller, callee, _ = self.calls[session]
        client = self._client(callee)
        if client is not None and client.is_open and session in self._received(callee):
            if heartbeat:
                self.world.answer(client, f"w/{caller}", session, "heartbeat")
            self.world.answer(client, f"w/{caller}", session)

    @rule(name=st.sampled_from(NAMES))
    def acknowledge(self, name: str) -> None:
        client = self._client(name)
        if client is not None and client.is_open and self.links[name][-1].pings:
            self.world.pong(client, self.links[name][-1])

    @rule(seconds=st.sampled_from([0.1, 0.5, 2.0, 6.0, 11.0, 95.0]))
    def wait(self, seconds: float) -> None:
        left = seconds
        while left > 0:
            self.world.tick(min(left, 0.5))
            left -= 0.5

    def _received(self, name: str) -> list[str]:
        return [
            frame["session"]
            for link in self.links[name]
            for frame in link.frames
            if str(frame.get("method", "")).startswith("services.")
        ]

    def _endings(self, session: str) -> list[str]:
        caller, _, _ = self.calls[session]
        return [
            frame["method"].partition(".")[2]
            for link in self.links[caller]
            for frame in link.frames
            if frame.get("method") in (f"{session}.resolve", f"{session}.reject")
        ]

    @invariant()
    def no_call_reaches_its_callee_twice(self) -> None:
        for name in NAMES:
            received = self._received(name)
            assert len(received) == len(set(received)), received

    @invariant()
    def what_was_not_delivered_never_ran(self) -> None:
        for name in NAMES:
            refused = [
                frame["method"].partition(".")[0]
                for link in self.links[name]
                for frame in link.frames
                if str(frame.get("method")).endswith(".reject")
                and frame["args"][0]["_rvalue"].startswith("NotDelivered")
            ]
            for session in refused:
                assert session not in self._received(self.calls[session][1]), session

    @invariant()
    def the_books_balance(self) -> None:
        for client in self.world.hub.clients.all():
            outbox = client.outbox
            assert outbox.base <= outbox.written <= outbox.end
            assert outbox.end - outbox.base == len(outbox.entries)
            assert outbox.bytes == sum(len(entry[0]) for entry in outbox.entries)
            waiting = {entry[2] for entry in outbox.entries if entry[2] is not None}
            assert not client.is_open or outbox.written == outbox.end
            for key in client.pending:
                assert key[1] in self.calls
            assert len(waiting) <= len(outbox.entries)

    @invariant()
    def nobody_waits_for_an_absent_callee(self) -> None:
        patience = 2 * INTERVAL_S + max(10.0, INTERVAL_S) + 1.0
        for session, (caller, callee, made_at) in self.calls.items():
            gone = self._client(callee) is None
            caller_lives = (client := self._client(caller)) is not None and client.is_open
            one_caller_life = caller_lives and client.generation == 1
            if gone and one_caller_life and self.world.now - made_at > patience:
                same = len(self.links[caller]) == 1
                assert not same or self._endings(session), (session, caller, callee)


Histories.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.spec("faults-F16")
class TestHistories(Histories.TestCase):
    """Random histories; hypothesis shrinks what fails."""
