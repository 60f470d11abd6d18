"""Registry, subscriptions and promises of a real server against random histories.

Sockets connect, register, subscribe, call, emit, freeze, are cut, resume, are replaced, leave and run
out in any order. The oracle is three small maps: who is here, what each offers, what each listens to.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hypha.testing import RawClient, ServerProcess, eventually
from hypha.testing.rawclient import RawCallError, RawRefused
from tests.kit.clients import StartServer
from tests.kit.people import make_person

NAMES = ("a", "b", "c")
PICK = st.integers(0, 2)
"""Which of those that a step is possible for; the number of them is not known beforehand."""
SERVICES = st.sampled_from(["x", "y"])
TIMES = {"HYPHA_HOLD_TIME": "1", "HYPHA_RESUME_WINDOW": "3"}
SURELY_HELD_S = 2.0
"""Nobody who is away for longer is expected back: the steps themselves take time."""


@dataclass
class Peer:
    """What the oracle knows about one client; `raw` is None while its link is cut."""

    raw: RawClient | None
    token: str
    services: set[str] = field(default_factory=set)
    listens: bool = False
    cut_at: float = 0.0
    is_frozen: bool = False
    expected: list[int] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)


class RealHistories(RuleBasedStateMachine):
    """Three clients of one workspace, and an observer that asks the registry after each step."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__()
        self.server = server
        self.person = make_person(server, "history")
        self.loop = asyncio.new_event_loop()
        self.peers: dict[str, Peer] = {}
        self.observer = self._run(
            RawClient.connect(server.ws_url, token=self.person.token, client_id="observer")
        )
        self.count = 0

    def _run(self, work: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    def teardown(self) -> None:
        for peer in self.peers.values():
            if peer.raw is not None:
                peer.raw.socket.transport.resume_reading()
                self._run(peer.raw.close())
        self._run(self.observer.close())
        self.loop.close()

    @property
    def _live(self) -> list[str]:
        return [n for n, peer in self.peers.items() if peer.raw is not None and not peer.is_frozen]

    @property
    def _away(self) -> list[str]:
        """Those between two links; those who have been away for long are seen to go first."""
        now = time.monotonic()
        away = [n for n, peer in self.peers.items() if peer.raw is None]
        if any(now - self.peers[name].cut_at > SURELY_HELD_S for name in away):
            self._gone(away)
            return []
        return away

    @property
    def _frozen(self) -> list[str]:
        return [n for n, peer in self.peers.items() if peer.is_frozen]

    def _raw(self, name: str) -> RawClient:
        raw = self.peers[name].raw
        assert raw is not None
        return raw

    def _connect(self, name: str, services: set[str], **fields: Any) -> RawClient:
        raw = self._run(RawClient.connect(self.server.ws_url, client_id=name, **fields))
        assert isinstance(raw, RawClient)
        raw._services.update({service: _functions(service) for service in services})
        assert self._run(raw.call_manager("echo", 1)) == 1  # from now on what waited is sent
        return raw

    @initialize()
    def begin(self) -> None:
        for number in range(len(NAMES)):
            self.connect(number)
            self.register(number, "x")
        self.subscribe(0)
        self.subscribe(1)

    @precondition(lambda self: len(self._live) + len(self._frozen) < len(NAMES))
    @rule(pick=PICK)
    def connect(self, pick: int) -> None:
        """A newcomer takes a free id, or that of one who is away."""
        free = [name for name in NAMES if name not in self._live + self._frozen]
        name = free[pick % len(free)]
        raw = self._connect(name, set(), token=self.person.token)
        self.peers[name] = Peer(raw, raw.info["reconnection_token"])

    @precondition(lambda self: self._live)
    @rule(pick=PICK)
    def connect_to_a_taken_id(self, pick: int) -> None:
        name = self._live[pick % len(self._live)]
        with pytest.raises(RawRefused, match="already exists and is active"):
            self._run(RawClient.connect(self.server.ws_url, token=self.person.token, client_id=name))

    @precondition(lambda self: self._away)
    @rule(pick=PICK)
    def resume(self, pick: int) -> None:
        away = self._away
        if away:
            self._resume(away[pick % len(away)])

    def _resume(self, name: str) -> None:
        peer = self.peers[name]
        peer.raw = self._connect(name, peer.services, reconnection_token=peer.token)

    @precondition(lambda self: self._live)
    @rule(pick=PICK)
    def cut(self, pick: int) -> None:
        name = self._live[pick % len(self._live)]
        raw = self._raw(name)
        self._collect(name)
        self.peers[name].raw, self.peers[name].cut_at = None, time.monotonic()
        self._run(raw.abort())
        self._run(eventually(lambda: self._is_away(name), within_s=5, what=f"the cut of {name} to be seen"))

    async def _is_away(self, name: str) -> bool:
        address = f"{self.person.workspace}/{name}"
        session = await self.observer.start_call(address, "services.built-in.ping", "ping", interval_s=0.1)
        try:
            await self.observer.answer_of(session, timeout_s=2)
        except RawCallError:
            return True
        return False

    @precondition(lambda self: self._live)
    @rule(pick=PICK)
    def leave(self, pick: int) -> None:
        name = self._live[pick % len(self._live)]
        self._run(self._raw(name).close(1000))
        self._gone([name, *self._away])

    @precondition(lambda self: self._away)
    @rule()
    def run_out(self) -> None:
        self._gone(self._away)

    def _gone(self, names: list[str]) -> None:
        for name in names:
            del self.peers[name]

        async def are_gone() -> bool:
            listed = await self.observer.call_manager("list_clients")
            return not any(entry["id"].rpartition("/")[2] in names for entry in listed)

        self._run(eventually(are_gone, within_s=10, what=f"{names} to go"))

    @precondition(lambda self: self._live)
    @rule(pick=PICK, service=SERVICES)
    def register(self, pick: int, service: str) -> None:
        name = self._live[pick % len(self._live)]
        self._run(self._raw(name).offer(service, _functions(service)["functions"]))
        self.peers[name].services.add(service)

    @precondition(lambda self: self._live)
    @rule(pick=PICK, service=SERVICES)
    def unregister(self, pick: int, service: str) -> None:
        name = self._live[pick % len(self._live)]
        if service in self.peers[name].services:
            raw = self._raw(name)
            self._run(raw.call_manager("unregister_service", f"{raw.address}:{service}"))
            self.peers[name].services.discard(service)

    @precondition(lambda self: self._live)
    @rule(pick=PICK)
    def subscribe(self, pick: int) -> None:
        name = self._live[pick % len(self._live)]
        self._run(self._raw(name).call_manager("subscribe", ["news"]))
        self.peers[name].listens = True

    @precondition(lambda self: self._live)
    @rule(pick=PICK)
    def emit(self, pick: int) -> None:
        raw = self._raw(self._live[pick % len(self._live)])
        self.count += 1
        self._run(raw.emit("news", "*", data=self.count))
        self._run(raw.call_manager("echo", "fence"))
        for peer in self.peers.values():
            if peer.listens:
                peer.expected.append(self.count)

    @precondition(lambda self: len(self._live) > 1)
    @rule(pick=PICK)
    def emit_while_somebody_is_away(self, pick: int) -> None:
        """Whoever listens hears it after the resume, in order."""
        name = self._live[pick % len(self._live)]
        self.cut(pick)
        self.emit(pick)
        self._resume(name)

    @precondition(lambda self: self._live)
    @rule(pick=PICK)
    def freeze(self, pick: int) -> None:
        name = self._live[pick % len(self._live)]
        self._collect(name)
        self._raw(name).socket.transport.pause_reading()
        self.peers[name].is_frozen = True

    @precondition(lambda self: self._frozen)
    @rule(pick=PICK)
    def thaw(self, pick: int) -> None:
        name = self._frozen[pick % len(self._frozen)]
        self._raw(name).socket.transport.resume_reading()
        self.peers[name].is_frozen = False

    @precondition(lambda self: self._live)
    @rule(pick=PICK, callee=st.sampled_from(NAMES), service=SERVICES)
    def call(self, pick: int, callee: str, service: str) -> None:
        raw, peer = self._raw(self._live[pick % len(self._live)]), self.peers.get(callee)
        address = f"{self.person.workspace}/{callee}"
        if peer is None or peer.raw is None:
            with pytest.raises(RawCallError, match=r"^NotDelivered"):
                self._run(raw.call(address, f"services.{service}.run", 7, interval_s=1.0))
        elif not peer.is_frozen and service in peer.services:
            answer = self._run(raw.call(address, f"services.{service}.run", self.count))
            assert answer == [service, self.count]

    @precondition(lambda self: self._live and self._away)
    @rule(pick=PICK, other=PICK)
    def call_that_waits_for_a_resume(self, pick: int, other: int) -> None:
        away = self._away
        raw = self._raw(self._live[pick % len(self._live)])
        if not away or "x" not in self.peers[away[other % len(away)]].services:
            return
        callee = away[other % len(away)]
        address = f"{self.person.workspace}/{callee}"
        session = self._run(raw.start_call(address, "services.x.run", 7, interval_s=5.0))
        self._resume(callee)
        try:
            assert self._run(raw.answer_of(session)) == ["x", 7]
        except RawCallError as error:  # it was away for longer than the hold time
            assert str(error).startswith("NotDelivered")

    def _collect(self, name: str) -> None:
        """Take what has arrived at a client, which must be all it listened to, in order, once."""
        peer = self.peers[name]
        if peer.raw is None:
            return
        self._run(peer.raw.call_manager("echo", "fence"))
        peer.seen += [frame.main["data"] for frame in peer.raw.frames if frame.main.get("type") == "news"]
        peer.raw.frames.clear()
        assert peer.seen == peer.expected, name

    @invariant()
    def the_registry_is_what_the_clients_made_it(self) -> None:
        assert self._away is not None  # those who ran out are gone now
        listed = self._run(self.observer.call_manager("list_services"))
        found = sorted(entry["id"].partition("/")[2].partition("@")[0] for entry in listed)
        own = [f"{name}:{service}" for name, peer in self.peers.items() for service in peer.services]
        assert [entry for entry in found if not entry.endswith(":built-in")] == sorted(own)

    @invariant()
    def listeners_have_what_was_sent(self) -> None:
        for name, peer in self.peers.items():
            if peer.raw is not None and not peer.is_frozen:
                self._collect(name)


def _functions(service: str) -> dict[str, Any]:
    return {"config": {}, "functions": {"run": lambda number: [service, number]}}


@pytest.mark.spec("faults-F16")
@pytest.mark.parametrize("examples", [4, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.timeout(900)
async def test_registry_subscriptions_and_promises_hold_in_any_history(
    start_server: StartServer, examples: int
) -> None:
    own = await start_server(env=TIMES)
    chosen = settings(
        max_examples=examples, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
    await asyncio.to_thread(run_state_machine_as_test, lambda: RealHistories(own), settings=chosen)
