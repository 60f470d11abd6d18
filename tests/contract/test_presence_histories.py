"""Whatever replicas do in any order: what was entered is found, and who follows the changes knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hypha.errors import LeaseLost
from hypha.presence.base import Presence
from hypha.presence.entries import (
    Change,
    ClientChanged,
    ClientEntered,
    ClientEntry,
    ClientLeft,
    Entered,
    Offered,
    ServiceEntry,
    ServiceOffered,
    ServiceWithdrawn,
    Wanted,
)
from tests.kit.deployments import Deployment, MemoryDeployment
from tests.kit.redis import RedisServer
from tests.kit.redis_deployment import RedisDeployment

WORKSPACES, NAMES, REPLICAS = ("lab", "far"), ("s", "t"), ("a", "b")
KEYS = ("lab", "c"), ("lab", "d"), ("lab", "e"), ("far", "c")
Step = tuple[str, int, int, int]
WISHES = (
    *("enter", "offer", "offer alone") * 4, *("take over", "move", "lose link", "open") * 2,
    "leave", "leave late", "link again", "withdraw", "late withdraw", "renew", "freeze", "close",
)  # fmt: skip
OF_OWN = ("leave", "lose link", "link again", "offer", "offer alone", "withdraw")
"""Steps that are mostly for clients that are there."""
steps = st.lists(
    st.tuples(st.sampled_from(WISHES), st.integers(0, 1), st.integers(0, 3), st.integers(0, 1)),
    min_size=10,
    max_size=60,
)


class Mirror:
    """What one knows who only follows the changes."""

    def __init__(self) -> None:
        self.clients: dict[tuple[str, str], ClientEntry] = {}
        self.services: dict[tuple[str, str, str], ServiceEntry] = {}
        self.ended: list[str] = []

    def hear(self, change: Change) -> None:
        if isinstance(change, ClientEntered | ClientChanged):
            client = change.client
            self.clients[client.workspace, client.client_id] = client
            for key, service in list(self.services.items()):
                if key[:2] == (client.workspace, client.client_id):
                    self.services[key] = stamped(client, service)
        elif isinstance(change, ClientLeft):
            del self.clients[change.client.workspace, change.client.client_id]
        elif isinstance(change, ServiceOffered):
            assert self.services.get(change.service.key) == change.replaced
            self.services[change.service.key] = change.service
        elif isinstance(change, ServiceWithdrawn):
            assert self.services.pop(change.service.key) == change.service
        else:
            assert change.replica not in {client.replica for client in self.clients.values()}
            self.ended.append(change.replica)


def stamped(client: ClientEntry, service: ServiceEntry) -> ServiceEntry:
    return replace(service, generation=client.generation, replica=client.replica, is_live=client.is_live)


class History:
    """Two replicas that do things, one that looks on, and what should be the case."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.mirror = Mirror()
        self.members: dict[str, Presence] = {}
        self.holds: dict[str, bool] = {}
        """Whether each replica has its lease."""
        self.clients: dict[tuple[str, str], ClientEntry] = {}
        self.services: dict[tuple[str, str, str], ServiceEntry] = {}
        self.generations: list[int] = [0]

    async def begin(self) -> None:
        self.observer = await self.deployment.presence("observer")
        self.observer.follow(self.mirror.hear)
        for workspace in WORKSPACES:
            await self.observer.watch(workspace)
        for name in REPLICAS:
            self.members[name] = await self.deployment.presence(name)
            self.holds[name] = True

    async def run(self, wish: str, at: int, what: int, name: int) -> None:
        """One step; what a replica without a lease tries must fail and change nothing."""
        replica = REPLICAS[at]
        member, key = self.members[replica], KEYS[what]
        own = sorted(key for key, client in self.clients.items() if client.replica == replica)
        if wish in OF_OWN and own:
            key = own[what % len(own)]
        step = getattr(self, "do_" + wish.replace(" ", "_"))
        if self.holds[replica] or wish in ("open", "close", "freeze"):
            await step(replica, member, key, NAMES[name])
            return
        before = dict(self.clients), dict(self.services)
        try:
            await step(replica, member, key, NAMES[name])
        except LeaseLost:
            pass
        self.clients, self.services = before

    async def enter(self, replica: str, key: tuple[str, str], over: int | None, *, keeps: bool) -> None:
        known = self.clients.get(key)
        wish = ClientEntry(*key, f"user-{replica}")
        result = await self.members[replica].enter(wish, over, keeps_services=keeps)
        is_free = known is None or known.generation == over
        assert isinstance(result, Entered) == is_free
        if not isinstance(result, Entered):
            return
        client = result.client
        assert client.generation > max(self.generations)
        self.generations.append(client.generation)
        assert client == replace(wish, replica=replica, generation=client.generation)
        for service in self.of(key):
            if keeps:
                self.services[service.key] = stamped(client, service)
            else:
                del self.services[service.key]
        self.clients[key] = client

    def of(self, key: tuple[str, str]) -> list[ServiceEntry]:
        return [service for service in self.services.values() if service.key[:2] == key]

    def forget(self, key: tuple[str, str]) -> None:
        del self.clients[key]
        for service in self.of(key):
            del self.services[service.key]

    async def do_enter(self, replica: str, member: Presence, key: tuple[str, str], name: str) -> None:
        await self.enter(replica, key, None, keeps=False)

    async def do_take_over(self, replica: str, member: Presence, key: tuple[str, str], name: str) -> None:
        known = self.clients.get(key)
        await self.enter(replica, key, known.generation if known else None, keeps=False)

    async def do_move(self, replica: str, member: Presence, key: tuple[str, str], name: str) -> None:
        known = self.clients.get(key)
        await self.enter(replica, key, known.generation if known else None, keeps=True)

    async def do_leave(self, replica: str, member: Presence, key: tuple[str, str], name: str) -> None:
        known = self.clients.get(key)
        if known is not None:
            member.leave(*key, known.generation)
            if known.replica == replica and self.holds[replica]:
                self.forget(key)

    async def do_leave_late(self, replica: str, member: Presence, key: tuple[str, str], name: str) -> None:
        for generation in self.generations:
            if key not in self.clients or generation != self.clients[key].generation:
                member.leave(*key, generation)

    async def link(self, replica: str, key: tuple[str, str], is_live: bool) -> None:
        known = self.clients.get(key)
        if known is None:
            return
        self.members[replica].change(*key, known.generation, is_live=is_live)
        if known.replica == replica and self.holds[replica]:
            self.clients[key] = client = replace(known, is_live=is_live)
            for service in self.of(key):
                self.services[service.key] = stamped(client, service)

    async def do_lose_link(self, replica: str, member: Presence, key: tuple[str, str], name: str) -> None:
        await self.link(replica, key, False)

    async def do_link_again(self, replica: str, member: Presence, key: tuple[str, str], name: str) -> None:
        await self.link(replica, key, True)

    async def offer(self, replica: str, key: tuple[str, str], name: str, is_singleton: bool) -> None:
        client = self.clients.get(key)
        wish = ServiceEntry(
            *key, name, client.generation if client else 0, is_singleton=is_singleton, is_public=name == "t"
        )
        result = await self.members[replica].offer(wish)
        rivals = [
            other
            for other in self.services.values()
            if (other.workspace, other.name) == (key[0], name)
            and other.client_id != key[1]
            and (is_singleton or other.is_singleton)
        ]
        is_here = client is not None and client.replica == replica
        assert isinstance(result, Offered) == (is_here and not any(other.is_live for other in rivals))
        if not isinstance(result, Offered) or client is None:
            return
        known = self.services.get(wish.key)
        assert result.replaced == known
        assert sorted(other.key for other in result.displaced) == sorted(other.key for other in rivals)
        for other in rivals:
            del self.services[other.key]
        if known is not None:
            assert result.service.order == known.order
        self.services[wish.key] = replace(stamped(client, wish), order=result.service.order)
        assert result.service == self.services[wish.key]

    async def do_offer(self, replica: str, member: Presence, key: tuple[str, str], name: str) -> None:
        await self.offer(replica, key, name, False)

    async def do_offer_alone(self, replica: str, member: Presence, key: tuple[str, str], name: str) -> None:
        await self.offer(replica, key, name, True)

    async def do_withdraw(self, replica: str, member: Presence, key: tuple[str, str], name: str) -> None:
        known = self.services.get((*key, name))
        found = await member.withdraw(*key, name, known.generation if known else 0)
        assert found == known
        self.services.pop((*key, name), None)

    async def do_late_withdraw(self, replica: str, member: Presence, key: tuple[str, str], name: str) -> None:
        known = self.services.get((*key, name))
        for generation in self.generations:
            if known is None or generation != known.generation:
                assert await member.withdraw(*key, name, generation) is None

    async def do_renew(self, replica: str, member: Presence, key: tuple[str, str], name: str) -> None:
        await member.renew()

    async def do_freeze(self, replica: str, member: Presence, key: tuple[str, str], name: str) -> None:
        """Time passes in which this replica alone renews nothing."""
        for _ in range(3):
            await self.deployment.pass_time(self.deployment.lease_s * 0.6)
            for other, presence in self.members.items():
                if other != replica and self.holds[other]:
                    await presence.renew()
            await self.observer.renew()
        self.ends(replica)

    async def do_close(self, replica: str, member: Presence, key: tuple[str, str], name: str) -> None:
        await member.close()
        self.ends(replica)

    async def do_open(self, replica: str, member: Presence, key: tuple[str, str], name: str) -> None:
        await member.open()
        self.ends(replica)
        self.holds[replica] = True

    def ends(self, replica: str) -> None:
        self.holds[replica] = False
        for key, client in list(self.clients.items()):
            if client.replica == replica:
                self.forget(key)

    async def check(self) -> None:
        await self.observer.renew()
        for member in self.members.values():
            await member.flush()
        await self.deployment.settle()
        for workspace in WORKSPACES:
            clients = sorted(key for key in self.clients if key[0] == workspace)
            assert await self.observer.clients(workspace) == [self.clients[key] for key in clients]
            await self.check_found(Wanted(workspace))
            for name in NAMES:
                await self.check_found(Wanted(workspace, name=name))
        await self.check_found(Wanted())
        assert self.mirror.clients == self.clients
        assert self.mirror.services == self.services

    async def check_found(self, wanted: Wanted) -> None:
        expected = [service for service in self.services.values() if wanted.matches(service)]
        expected.sort(key=lambda service: (service.workspace, service.order))
        assert await self.observer.services(wanted) == expected


def play(make: Callable[[], Awaitable[Deployment]], examples: int, *, shrinks: bool = True) -> None:
    phases = [phase for phase in Phase if shrinks or phase is not Phase.shrink]

    @settings(max_examples=examples, deadline=None, phases=phases)
    @given(steps)
    def test(wishes: list[Step]) -> None:
        async def main() -> None:
            deployment = await make()
            try:
                history = History(deployment)
                await history.begin()
                for wish in wishes:
                    await history.run(*wish)
                    await history.check()
            finally:
                await deployment.close()

        asyncio.run(main())

    test()


def test_every_history_is_told_and_found_as_it_was() -> None:
    async def make() -> Deployment:
        return MemoryDeployment()

    play(make, 100)


@pytest.mark.parametrize("kind", ["redis", "valkey"])
@pytest.mark.parametrize(
    "examples", [3, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
def test_every_history_over_a_server_is_told_and_found_as_it_was(
    request: pytest.FixtureRequest, kind: str, examples: int
) -> None:
    server: RedisServer = request.getfixturevalue(kind)
    play(lambda: RedisDeployment(server).begin(), examples, shrinks=False)
