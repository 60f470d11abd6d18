"""Random lives of a few clients in virtual time: every transition, and what must hold in each state.

A link that is cut may have lost what was written to it and not read: the end of what a client read says
which. The invariants: no frame is lost, none is sent twice, every caller is told exactly once, and at the end
of a client nothing of it is left.
"""

from __future__ import annotations

import ast
import heapq
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import msgpack
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hypha.auth.scopes import Level
from hypha.auth.users import anonymous_user
from hypha.errors import ServerFault
from hypha.hub import client as client_module
from hypha.hub.client import NEXT, Client, State
from hypha.hub.hub import Hub, HubLimits
from hypha.settings import Settings
from tests.kit.world import FakeLink, FakeMembership, World

HUB = Path(client_module.__file__).parent
NAMES = ("w/a", "w/b", "other/c")
INTERVAL_S = 5.0
PLAIN, REPEATABLE = "services.s.f", "services.built-in.ping"


class VirtualTimer:
    """A call of a `VirtualClock` that is due later."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class VirtualClock:
    """Time that passes only in `advance`, which runs what is due, in order."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._numbers = count()
        self._due: list[tuple[float, int, VirtualTimer]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., object], /, *args: Any) -> VirtualTimer:
        return self.call_later(0.0, callback, *args)

    def call_later(self, delay: float, callback: Callable[..., object], /, *args: Any) -> VirtualTimer:
        timer = VirtualTimer(lambda: callback(*args))
        heapq.heappush(self._due, (self.now + delay, next(self._numbers), timer))
        return timer

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while self._due and self._due[0][0] <= until:
            self.now, _, timer = heapq.heappop(self._due)
            if timer.callback is not None:
                timer.callback()
        self.now = until

    @property
    def waiting(self) -> int:
        return sum(timer.callback is not None for _, _, timer in self._due)


class Wire(FakeLink):
    """A link whose client has read only so many of the frames that were written to it."""

    read = 0


class Lives(RuleBasedStateMachine):
    """Three clients in two workspaces, and everything that may happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.hub = Hub("manager-x", HubLimits.from_settings(Settings(ack_interval_s=0.5)), self.clock)
        self.hub.upcalls.membership = FakeMembership([])
        self.clients: dict[str, Client] = {}
        self.wires: dict[str, list[Wire]] = {name: [] for name in NAMES}
        self.calls: dict[str, tuple[Client, str, str]] = {}
        self.answered: set[str] = set()
        self.rejected: Counter[str] = Counter()
        real = client_module.reject_frame

        def reject_frame(session: str, *rest: Any) -> Any:
            self.rejected[session] += 1
            return real(session, *rest)

        self._patch = mock.patch.object(client_module, "reject_frame", reject_frame)
        self._patch.start()
        for name in NAMES:
            self.join(name)
            self.send_first_frame(name)

    # -- what happens

    def live(self, name: str) -> Client | None:
        client = self.clients.get(name)
        return None if client is None or client.ended else client

    def wire(self, name: str) -> Wire:
        return self.wires[name][-1]

    def send(self, client: Client, main: dict[str, Any], extra: dict[str, Any] | None = None) -> None:
        if client.state is State.OPENING:
            self.hub.resume.open(client)
        self.hub.route(client, msgpack.packb({"from": client.address, **main}) + msgpack.packb(extra or {}))

    @rule(name=st.sampled_from(NAMES))
    def join(self, name: str) -> None:
        if self.live(name) is None:
            self.wires[name].append(Wire())
            workspace, client_id = name.split("/")
            user = anonymous_user().within(workspace, client_id, Level.ADMIN)
            self.clients[name] = self.hub.join(workspace, client_id, user, None, self.wire(name))
            self.hub.events.subscribe(self.clients[name], ["news"])

    @rule(name=st.sampled_from(NAMES), newer=st.booleans())
    def come_back(self, name: str, newer: bool) -> None:
        """On a new link after one was lost, or on a newer one."""
        client = self.live(name)
        if client is not None and (client.is_held or newer):
            self.wires[name].append(Wire())
            self.hub.rejoin(client, self.wire(name))

    @rule(name=st.sampled_from(NAMES))
    def send_first_frame(self, name: str) -> None:
        if (client := self.live(name)) is not None and client.state is State.OPENING:
            self.hub.resume.open(client)

    @rule(name=st.sampled_from(NAMES), code=st.sampled_from([1006, 1006, 1000]), had_read=st.booleans())
    def cut(self, name: str, code: int, had_read: bool) -> None:
        client = self.live(name)
        if client is not None and client.is_live:
            if had_read:
                self.wire(name).read = len(self.wire(name).frames)
            self.hub.resume.lost(client, self.wire(name), code)

    @rule(name=st.sampled_from(NAMES), kick=st.booleans())
    def end(self, name: str, kick: bool) -> None:
        if (client := self.live(name)) is not None:
            self.hub.kick(client, 1008, "test") if kick else self.hub.end(client, "test")

    @rule(
        caller=st.sampled_from(NAMES),
        callee=st.sampled_from(NAMES),
        method=st.sampled_from([PLAIN, REPEATABLE]),
    )
    def call(self, caller: str, callee: str, method: str) -> None:
        client = self.live(caller)
        if client is not None and client.is_live:
            session = f"S{len(self.calls)}"
            self.calls[session] = client, callee, method
            main = {"type": "method", "to": callee, "method": method, "session": session}
            self.send(client, main, {"args": [], "promise": "*", "t": INTERVAL_S})

    @rule(name=st.sampled_from(NAMES), heartbeat=st.sampled_from([False, False, True]))
    def answer(self, name: str, heartbeat: bool) -> None:
        """The client reads, and answers the oldest call that its caller still waits for."""
        client = self.live(name)
        if client is None or not client.is_live:
            return
        self.read(name, proves=False)
        for session in self.read_calls(name):
            if session not in self.answered and not self.rejected[session]:
                if not heartbeat:
                    self.answered.add(session)
                kind = "heartbeat" if heartbeat else "resolve"
                to = self.calls[session][0].address
                self.send(client, {"type": "method", "to": to, "method": f"{session}.{kind}"}, {"args": [1]})
                return

    @rule(
        caller=st.sampled_from(NAMES),
        callee=st.sampled_from(NAMES),
        whose=st.booleans(),
        answers=st.booleans(),
    )
    def break_in_a_call(self, caller: str, callee: str, whose: bool, answers: bool) -> None:
        """The link of the caller or of the callee breaks with what is on its way, and is replaced."""
        self.call(caller, callee, PLAIN)
        if answers:
            self.answer(callee, heartbeat=False)
        self.flap(caller if whose else callee)

    @rule(
        caller=st.sampled_from(NAMES),
        callee=st.sampled_from(NAMES),
        method=st.sampled_from([PLAIN, REPEATABLE]),
    )
    def call_between_links(self, caller: str, callee: str, method: str) -> None:
        """A call waits for its callee, whose next link breaks, too."""
        self.cut(callee, 1006, had_read=False)
        self.call(caller, callee, method)
        self.flap(callee)
        self.flap(callee)

    def flap(self, name: str) -> None:
        """Lose the link with all that was not read, and be back on another."""
        self.cut(name, 1006, had_read=False)
        self.come_back(name, newer=False)
        self.send_first_frame(name)

    @rule(name=st.sampled_from(NAMES), proves=st.booleans())
    def read(self, name: str, proves: bool) -> None:
        client = self.live(name)
        if client is not None and client.is_live:
            wire = self.wire(name)
            wire.read = len(wire.frames)
            if proves and wire.pings:
                self.hub.acknowledgement.pong(client, wire.pings[-1])

    @rule(name=st.sampled_from(NAMES))
    def publish(self, name: str) -> None:
        if (client := self.live(name)) is not None and client.is_live:
            self.send(client, {"type": "news", "to": "*"}, {"data": 1})

    @rule(name=st.sampled_from(NAMES), buffered=st.sampled_from([0, 5_000_000]))
    def fill(self, name: str, buffered: int) -> None:
        client = self.live(name)
        if client is not None and client.is_live:
            self.wire(name).buffered = buffered
            (self.hub.flow.choke if buffered else self.hub.flow.drained)(client)

    @rule(seconds=st.sampled_from([0.1, 0.6, 0.6, 2.5, 6.0, 11.0, 95.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for name, client in self.clients.items():
            wire = self.wire(name)
            if wire.closed is not None and client.connection is wire:
                self.hub.resume.lost(client, wire, wire.closed[0])

    # -- what must hold

    def read_calls(self, name: str) -> list[str]:
        """Calls that this client, as it is now, has read."""
        return [
            frame["session"]
            for wire in self.wires[name]
            for frame in wire.frames[: wire.read]
            if frame.get("method") in (PLAIN, REPEATABLE)
        ]

    @invariant()
    def states_say_what_clients_have(self) -> None:
        for client in self.clients.values():
            state = client.state
            assert client.is_open is (state is State.OPEN)
            assert client.fails_fast is (state is State.FAILING_FAST or client.is_retired)
            assert client.is_live is (state in (State.OPENING, State.OPEN))
            assert client.is_held is (state in (State.HELD, State.FAILING_FAST))
            assert (client in self.hub.waiting.held) is client.is_held
            assert (self.hub.clients.get(client.address) is client) is not client.ended

    @invariant()
    def no_call_is_sent_twice(self) -> None:
        for name in NAMES:
            sent = Counter(
                frame["session"]
                for wire in self.wires[name]
                for frame in wire.frames
                if frame.get("method") == PLAIN
            )
            assert all(times == 1 for times in sent.values()), sent

    @invariant()
    def no_caller_is_told_twice(self) -> None:
        for session in self.calls:
            assert self.rejected[session] + (session in self.answered) <= 1, session

    @invariant()
    def what_is_kept_is_counted(self) -> None:
        for client in self.clients.values():
            outbox = client.outbox
            assert outbox.base <= outbox.written <= outbox.end
            assert outbox.end - outbox.base == len(outbox.entries)
            assert outbox.bytes == sum(len(frame) for frame, _, _ in outbox.entries)
            assert not client.is_open or outbox.written == outbox.end

    @invariant()
    def a_paused_client_is_paused_by_one_that_is_full(self) -> None:
        for client in self.clients.values():
            for full in client.paused_by:
                assert full.pressure is not None and client in full.pressure.feeders
            if client.connection is not None:
                assert client.connection.pauses == len(client.paused_by)  # type: ignore[attr-defined]

    @invariant()
    def nothing_is_left_of_the_ended(self) -> None:
        for client in self.clients.values():
            if client.ended:
                assert client not in self.hub.clients.of(client.workspace)
                assert not (client.pending or client.doubts or client.outbox.entries or client.paused_by)
                assert client.pressure is None and client not in self.hub.flow.choked
                assert not client.subscriptions and not client.is_held

    def teardown(self) -> None:
        try:
            self._all_come_back_and_read()
            self._every_caller_was_told()
            self._all_end()
        finally:
            self._patch.stop()
            self.hub.stop()

    def _all_come_back_and_read(self) -> None:
        for name in NAMES:
            if self.live(name) is not None:
                self.come_back(name, newer=False)
                self.wire(name).buffered = 0
                self.send_first_frame(name)
        for _ in range(3):  # answers make something to read for others
            for name in NAMES:
                self.read(name, proves=True)
                for _ in self.read_calls(name):
                    self.answer(name, heartbeat=False)
        self.clock.advance(2 * INTERVAL_S + 1.0)
        for name in NAMES:
            self.read(name, proves=True)

    def _every_caller_was_told(self) -> None:
        for session, (caller, _, _) in self.calls.items():
            if caller.ended:
                continue
            wires = self.wires[caller.address]
            told = {
                frame["method"]
                for wire in wires
                for frame in wire.frames[: wire.read]
                if frame.get("method") in (f"{session}.resolve", f"{session}.reject")
            }
            assert len(told) == 1, (session, told, self.answered, self.rejected)

    def _all_end(self) -> None:
        for name in NAMES:
            self.end(name, kick=False)
        self.nothing_is_left_of_the_ended()
        self.clock.advance(5.0)
        hub = self.hub
        left = (
            hub.clients.by_address, hub.clients._by_workspace, hub.clients._guests, hub.waiting.held,
            hub.waiting._doubtful, hub.waiting._kept.used, hub.acknowledgement._waiting, hub.flow.choked,
            hub.events._subscribers, hub.events._counted.used, hub.unanswered.used, len(hub.border.parcels),
        )  # fmt: skip
        assert not any(left), left
        assert self.hub.pulse._timer is None, "an idle hub does nothing"


Lives.TestCase.settings = settings(
    max_examples=50, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.timeout(300)
class TestLives(Lives.TestCase):
    """Enough for a change to be seen; hypothesis shrinks what fails."""


@pytest.mark.slow
@pytest.mark.timeout(900)
class TestManyLives(Lives.TestCase):
    """The same for longer."""

    settings = settings(
        max_examples=400, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
    )


def test_who_called_itself_and_is_away_is_told_that_nobody_took_the_call() -> None:
    lives = Lives()
    lives.call("w/a", "w/a", REPEATABLE)
    lives.come_back("w/a", newer=True)
    lives.cut("w/a", 1006, had_read=False)
    lives.wait(11.0)
    lives.teardown()  # it reads what waited for it, and every caller has been told


# -- the transitions themselves

WAYS: dict[State, Callable[[World, Client], object]] = {
    State.OPENING: lambda world, client: client.attach(FakeLink()),
    State.OPEN: lambda world, client: client.open(),
    State.HELD: lambda world, client: client.lose_link(FakeLink()),
    State.FAILING_FAST: lambda world, client: client.fail_fast(),
    State.ENDED: lambda world, client: client.end(),
}
TO: dict[State, list[State]] = {
    State.NEW: [],
    State.OPENING: [State.OPENING],
    State.OPEN: [State.OPENING, State.OPEN],
    State.HELD: [State.OPENING, State.HELD],
    State.FAILING_FAST: [State.OPENING, State.HELD, State.FAILING_FAST],
    State.ENDED: [State.OPENING, State.ENDED],
}


@pytest.mark.parametrize("after", WAYS)
@pytest.mark.parametrize("before", State)
async def test_a_client_goes_only_where_it_may(world: World, before: State, after: State) -> None:
    user = anonymous_user().within("w", "x", Level.ADMIN)
    client = Client(world.hub._ports, "w", "x", user, None)
    for state in TO[before]:
        WAYS[state](world, client)
    assert client.state is before
    if after in NEXT[before]:
        WAYS[after](world, client)
        assert client.state is after
    else:
        with pytest.raises(ServerFault):
            WAYS[after](world, client)
        assert client.state is before


def test_nobody_but_the_client_changes_its_state() -> None:
    owned = {"state", "is_open", "fails_fast", "is_retired", "connection", "hold", "generation", "flaps"}
    wrong = [
        f"{path.name}:{node.lineno} {target.attr}"
        for path in HUB.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        for found in (node.targets if isinstance(node, ast.Assign) else [node.target])
        for target in (found.elts if isinstance(found, ast.Tuple) else [found])
        if isinstance(target, ast.Attribute)
        and target.attr in owned
        and not (
            path.name == "client.py" and isinstance(target.value, ast.Name) and target.value.id == "self"
        )
    ]
    assert not wrong
