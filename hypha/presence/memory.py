"""The presence of replicas in one process: of a server that is alone, or of several in a test."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from hypha.clock import Clock
from hypha.errors import LeaseLost
from hypha.presence.base import LEASE_S, MAX_FOUND, Hear, Presence
from hypha.presence.entries import (
    NO_LIMITS,
    Change,
    ClientChanged,
    ClientEntered,
    ClientEntry,
    ClientLeft,
    Entered,
    Full,
    Limits,
    Offered,
    ReplicaEnded,
    ReplicaEntry,
    Rival,
    Room,
    ServiceEntry,
    ServiceOffered,
    ServiceWithdrawn,
    Superseded,
    Taken,
    Wanted,
)
from hypha.presence.index import Services


@dataclass(slots=True, eq=False)
class _Lease:
    """What stands on it goes with it."""

    number: int
    expires_at: float
    clients: dict[tuple[str, str], ClientEntry] = field(default_factory=dict)


class MemorySpace:
    """What replicas share.

    Args:
        clock: the event loop, or a clock that a test moves.
        lease_s: how long a lease lasts that is not renewed.
    """

    def __init__(self, clock: Clock, lease_s: float = LEASE_S) -> None:
        self._clock = clock
        self._lease_s = lease_s
        self._numbers = itertools.count(1)
        """Of leases and of generations."""
        self._members: dict[str, MemoryPresence] = {}
        """Those with a lease, by the id of their replica."""
        self._clients: dict[str, dict[str, ClientEntry]] = {}
        """By workspace and id; no map in it is empty."""
        self._services = Services()

    def member(self, replica: str, facts: bytes = b"") -> MemoryPresence:
        """The presence of one replica."""
        return MemoryPresence(self, replica, facts)

    # -- leases

    def begin(self, member: MemoryPresence) -> _Lease:
        """A new lease for a replica, in place of one that it had."""
        former = self._members.get(member.replica)
        if former is not None:
            self._end(former)
        self._members[member.replica] = member
        return _Lease(next(self._numbers), self._clock.time() + self._lease_s)

    def renew(self, lease: _Lease) -> None:
        """Let it last; end those that have run out."""
        now = self._clock.time()
        lease.expires_at = now + self._lease_s
        for member in list(self._members.values()):
            if member.lease is not None and member.lease.expires_at < now:
                self._end(member)

    def end(self, member: MemoryPresence) -> None:
        """Give a lease up."""
        if self._members.get(member.replica) is member:
            self._end(member)

    def _end(self, member: MemoryPresence) -> None:
        """End a lease: what stands on it goes, the services first, and all others are told."""
        lease, member.lease = member.lease, None
        del self._members[member.replica]
        for client in list(lease.clients.values()) if lease is not None else ():
            self._remove(client, by=member, is_lost=True)
        for other in self._members.values():
            other.hear(ReplicaEnded(member.replica))

    def replicas(self) -> list[ReplicaEntry]:
        """All that have a lease."""
        found = [ReplicaEntry(member.replica, member.facts) for member in self._members.values()]
        return sorted(found, key=lambda entry: entry.replica)

    # -- clients

    def client(self, workspace: str, client_id: str) -> ClientEntry | None:
        """The client of that id."""
        return self._clients.get(workspace, {}).get(client_id)

    def clients(self, workspace: str, limit: int) -> list[ClientEntry]:
        """Those of a workspace."""
        found = self._clients.get(workspace, {})
        return [found[client_id] for client_id in sorted(found)[:limit]]

    def enter(
        self, member: MemoryPresence, client: ClientEntry, over: int | None, keeps_services: bool
    ) -> Entered | Taken:
        """See `Presence.enter`."""
        known = self.client(client.workspace, client.client_id)
        if known is not None and known.generation != over:
            return Taken(known)
        entered = replace(client, replica=member.replica, generation=next(self._numbers))
        services = self._services.of_client(known) if known is not None else []
        if not keeps_services:
            self._drop(services, by=member)
            services = []
        if known is not None:
            self._forget(known)
        self._put(member, entered)
        for service in services:
            self._services.add(_of(entered, service))
        before = known.generation if known is not None else None
        self._tell(ClientEntered(entered, before), entered.workspace, member, known)
        return Entered(entered)

    def leave(self, member: MemoryPresence, workspace: str, client_id: str, generation: int) -> None:
        """See `Presence.leave`."""
        known = self.client(workspace, client_id)
        if known is not None and (known.generation, known.replica) == (generation, member.replica):
            self._remove(known, by=member)

    def change(
        self, member: MemoryPresence, workspace: str, client_id: str, generation: int, is_live: bool
    ) -> None:
        """See `Presence.change`."""
        known = self.client(workspace, client_id)
        if known is None or (known.generation, known.replica) != (generation, member.replica):
            return
        if known.is_live == is_live:
            return
        changed = replace(known, is_live=is_live)
        self._put(member, changed)
        for service in self._services.of_client(changed):
            self._services.add(_of(changed, service))
        self._tell(ClientChanged(changed), workspace, member)

    def _put(self, member: MemoryPresence, client: ClientEntry) -> None:
        self._clients.setdefault(client.workspace, {})[client.client_id] = client
        if member.lease is not None:
            member.lease.clients[client.workspace, client.client_id] = client

    def _remove(self, client: ClientEntry, by: MemoryPresence, *, is_lost: bool = False) -> None:
        self._drop(self._services.of_client(client), by, is_lost=is_lost)
        self._forget(client)
        self._tell(ClientLeft(client, is_lost), client.workspace, by)

    def _forget(self, client: ClientEntry) -> None:
        of_workspace = self._clients[client.workspace]
        del of_workspace[client.client_id]
        if not of_workspace:
            del self._clients[client.workspace]
        owner = self._members.get(client.replica)
        if owner is not None and owner.lease is not None:
            owner.lease.clients.pop((client.workspace, client.client_id), None)

    # -- services

    def offer(
        self, member: MemoryPresence, service: ServiceEntry, limits: Limits
    ) -> Offered | Rival | Full | Superseded:
        """See `Presence.offer`."""
        client = self.client(service.workspace, service.client_id)
        if client is None or client.generation != service.generation or client.replica != member.replica:
            return Superseded()
        rivals = [] if service.is_built_in else list(self._services.rivals(service))
        for rival in rivals:
            if rival.is_live:
                return Rival(rival)
        known = self._services.get(service.key)
        full = None if service.is_built_in else self._full(service, known, limits)
        if full is not None:
            return full
        self._drop(rivals, by=member)
        order = known.order if known is not None else self._services.next_order()
        offered = _of(client, replace(service, order=order))
        self._services.add(offered)
        if known != offered:
            self._tell(ServiceOffered(offered, known), service.workspace, member)
        return Offered(offered, known, tuple(rivals))

    def _full(self, service: ServiceEntry, known: ServiceEntry | None, limits: Limits) -> Full | None:
        more = Room(int(known is None), len(service.record) - (len(known.record) if known else 0))
        workspace, client = service.workspace, (service.workspace, service.client_id)
        for used, most, is_workspace in (
            (self._services.used(client), limits.client, False),
            (self._services.used((workspace,)), limits.workspace, True),
        ):
            if more.count and 0 < most.count < used.count + 1:
                return Full(is_workspace, used)
            if more.size_bytes > 0 and 0 < most.size_bytes < used.size_bytes + more.size_bytes:
                return Full(is_workspace, used)
        return None

    def withdraw(
        self, member: MemoryPresence, key: tuple[str, str, str], generation: int
    ) -> ServiceEntry | None:
        """See `Presence.withdraw`."""
        known = self._services.get(key)
        if known is None or known.generation != generation:
            return None
        self._drop([known], by=member)
        return known

    def services(self, wanted: Wanted, limit: int) -> list[ServiceEntry]:
        """See `Presence.services`."""
        return self._services.find(wanted)[:limit]

    def _drop(self, services: Iterable[ServiceEntry], by: MemoryPresence, *, is_lost: bool = False) -> None:
        for service in services:
            self._services.remove(service)
            self._tell(ServiceWithdrawn(service, is_lost), service.workspace, by, service)

    # -- changes

    def _tell(
        self,
        change: Change,
        workspace: str,
        by: MemoryPresence,
        owned: ClientEntry | ServiceEntry | None = None,
    ) -> None:
        """Let those hear of it who watch the workspace, or own what it is about, but for who makes it."""
        for member in self._members.values():
            is_owner = owned is not None and owned.replica == member.replica
            if member is not by and (is_owner or workspace in member.watched):
                member.hear(change)

    def later(self, member: MemoryPresence) -> None:
        """Let a member hear what is told it in a turn of its own."""
        self._clock.call_later(0, member.pass_on)


def _of(client: ClientEntry, service: ServiceEntry) -> ServiceEntry:
    """The service as one of this stay of its client."""
    return replace(service, generation=client.generation, is_live=client.is_live, replica=client.replica)


class MemoryPresence(Presence):
    """One replica of a `MemorySpace`; nothing waits, so what is posted is done at once."""

    def __init__(self, space: MemorySpace, replica: str, facts: bytes) -> None:
        super().__init__(replica, facts)
        self._space = space
        self.lease: _Lease | None = None
        """That of this replica, while it lasts."""
        self.watched: set[str] = set()
        """The workspaces whose changes are heard."""
        self._hearers: list[Hear] = []
        self._told: list[Change] = []
        """What is still to be heard."""

    def _held(self) -> _Lease:
        if self.lease is None:
            raise LeaseLost(f"The lease of the replica {self.replica} has ended")
        return self.lease

    async def open(self) -> None:
        """See `Presence`."""
        self.lease = self._space.begin(self)
        self.watched.clear()

    async def renew(self) -> None:
        """See `Presence`."""
        self._space.renew(self._held())

    async def close(self) -> None:
        """See `Presence`."""
        self._space.end(self)
        self.watched.clear()
        self._told.clear()

    async def replicas(self) -> list[ReplicaEntry]:
        """See `Presence`."""
        return self._space.replicas()

    async def enter(
        self, client: ClientEntry, over: int | None = None, *, keeps_services: bool = False
    ) -> Entered | Taken:
        """See `Presence`."""
        self._held()
        return self._space.enter(self, client, over, keeps_services)

    def leave(self, workspace: str, client_id: str, generation: int) -> None:
        """See `Presence`."""
        if self.lease is not None:
            self._space.leave(self, workspace, client_id, generation)

    def change(self, workspace: str, client_id: str, generation: int, *, is_live: bool) -> None:
        """See `Presence`."""
        if self.lease is not None:
            self._space.change(self, workspace, client_id, generation, is_live)

    async def client(self, workspace: str, client_id: str) -> ClientEntry | None:
        """See `Presence`."""
        return self._space.client(workspace, client_id)

    async def clients(self, workspace: str, limit: int = MAX_FOUND) -> list[ClientEntry]:
        """See `Presence`."""
        return self._space.clients(workspace, limit)

    async def offer(
        self, service: ServiceEntry, limits: Limits = NO_LIMITS
    ) -> Offered | Rival | Full | Superseded:
        """See `Presence`."""
        self._held()
        return self._space.offer(self, service, limits)

    async def withdraw(
        self, workspace: str, client_id: str, name: str, generation: int
    ) -> ServiceEntry | None:
        """See `Presence`."""
        self._held()
        return self._space.withdraw(self, (workspace, client_id, name), generation)

    async def services(self, wanted: Wanted, limit: int = MAX_FOUND) -> list[ServiceEntry]:
        """See `Presence`."""
        return self._space.services(wanted, limit)

    async def watch(self, workspace: str) -> None:
        """See `Presence`."""
        self._held()
        self.watched.add(workspace)

    def unwatch(self, workspace: str) -> None:
        """See `Presence`."""
        self.watched.discard(workspace)

    def follow(self, hear: Hear) -> None:
        """See `Presence`."""
        self._hearers.append(hear)

    async def flush(self) -> None:
        """See `Presence`."""

    def hear(self, change: Change) -> None:
        """Be told of a change by the space."""
        if not self._told:
            self._space.later(self)
        self._told.append(change)

    def pass_on(self) -> None:
        """Tell those who follow."""
        told, self._told = self._told, []
        for change in told:
            for hear in self._hearers:
                hear(change)
