"""What every implementation of the presence does; all are held against tests/contract/test_presence.py.

A replica takes a lease, enters its clients and their services, and renews the lease. What it entered is found
by all replicas until it is withdrawn, the replica leaves, or its lease has run out and another one notices it
(`renew`). Whoever removes something names its generation, so that what comes late removes nothing newer.

Registrations are one round trip each. What is *posted* is done soon, in the order in which it and the
registrations of this replica were asked for; nobody waits for it, and it need not be done once the lease is
lost. Lookups cost what they find, never what there is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from hypha.presence.entries import (
    NO_LIMITS,
    Change,
    ClientEntry,
    Entered,
    Full,
    Limits,
    Offered,
    ReplicaEntry,
    Rival,
    ServiceEntry,
    Superseded,
    Taken,
    Wanted,
)

LEASE_S = 1.5
RENEW_EVERY_S = 0.5
"""A replica that is gone is known to be after 2 s."""
MAX_FOUND = 10_000
Hear = Callable[[Change], None]


class Presence(ABC):
    """One replica among the others.

    Every method that is awaited raises `BackendUnavailable` while what the replicas share cannot be reached;
    those that change something, and `renew` and `watch`, raise `LeaseLost` when the lease of this replica was
    ended. It may then `open` again: that is a new lease, on which nothing stands yet.
    """

    def __init__(self, replica: str, facts: bytes = b"") -> None:
        self.replica = replica
        """The id of this replica, which no other has."""
        self.facts = facts
        """What it tells of itself."""

    # -- the lease -----------------------------------------------------------------------------------

    @abstractmethod
    async def open(self) -> None:
        """Take a lease. One that a replica of the same id had is ended, with all that stands on it."""

    @abstractmethod
    async def renew(self) -> None:
        """Let the lease last from now on, and end those of others that have run out; one round trip.

        A lease that has run out may be renewed as long as nobody has ended it.
        """

    @abstractmethod
    async def close(self) -> None:
        """Give the lease up, with all that stands on it. Nothing is heard afterwards."""

    @abstractmethod
    async def replicas(self) -> list[ReplicaEntry]:
        """All replicas with a lease, this one included, in the order of their ids."""

    # -- clients -------------------------------------------------------------------------------------

    @abstractmethod
    async def enter(
        self, client: ClientEntry, over: int | None = None, *, keeps_services: bool = False
    ) -> Entered | Taken:
        """Enter a client that has come to this replica.

        Args:
            over: the generation that it may take the place of, if another stay under its id is entered.
            keeps_services: let it have the services of that stay; otherwise they go.
        """

    @abstractmethod
    def leave(self, workspace: str, client_id: str, generation: int) -> None:
        """Remove a client of this replica, and its services, if it still has that generation; posted."""

    @abstractmethod
    def change(self, workspace: str, client_id: str, generation: int, *, is_live: bool) -> None:
        """Say that a client of this replica has lost its link, or has one again; posted."""

    @abstractmethod
    async def client(self, workspace: str, client_id: str) -> ClientEntry | None:
        """The client of that id, wherever it is."""

    @abstractmethod
    async def clients(self, workspace: str, limit: int = MAX_FOUND) -> list[ClientEntry]:
        """The clients of a workspace, in the order of their ids."""

    # -- services ------------------------------------------------------------------------------------

    @abstractmethod
    async def offer(
        self, service: ServiceEntry, limits: Limits = NO_LIMITS
    ) -> Offered | Rival | Full | Superseded:
        """Enter a service of a client of this replica; one of the same key is replaced and keeps its order.

        A singleton cannot be beside another service of its name at another client, whichever of the two comes
        first: that of a live client stays, and those of clients between two links give way.
        """

    @abstractmethod
    async def withdraw(
        self, workspace: str, client_id: str, name: str, generation: int
    ) -> ServiceEntry | None:
        """Remove a service of any client if it still has that generation; what was removed."""

    @abstractmethod
    async def services(self, wanted: Wanted, limit: int = MAX_FOUND) -> list[ServiceEntry]:
        """Those that have what is wanted, by workspace in the order of their registration."""

    # -- changes -------------------------------------------------------------------------------------

    @abstractmethod
    async def watch(self, workspace: str) -> None:
        """Hear all changes of this workspace by others from now on."""

    @abstractmethod
    def unwatch(self, workspace: str) -> None:
        """Hear no more of it; posted."""

    @abstractmethod
    def follow(self, hear: Hear) -> None:
        """Call `hear` with each change that is made by others, in order, never inside a call of this class.

        Those of watched workspaces, those of this replica's own clients, and the end of any replica.
        """

    @abstractmethod
    async def flush(self) -> None:
        """Wait until all that was posted so far is done, or cannot be any more."""
