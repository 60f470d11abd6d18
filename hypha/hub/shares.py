"""What clients may have together, in all and of each party: many of them have little more than one may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hypha.auth.users import User
from hypha.limits import Budget, Party
from hypha.networks import throttled


class Holder(Protocol):
    """Who has something: a client."""

    @property
    def user(self) -> User:
        """Whose it is."""

    @property
    def peer_address(self) -> str:
        """Its network address, or the last one; empty if it is not known."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much of something there is."""

    free: int
    """What every client may have without being counted, so that no client is ever without any."""
    party: int
    """Beyond that, of one person, or of one address of anonymous users."""
    strangers: int
    """The same of all anonymous users."""
    total: int
    """The same of all clients."""


class Shares:
    """Amounts of clients that count together."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.all = Budget(room.total)
        """Of this all others are parts."""
        self.strangers = Budget(room.strangers, self.all)
        self._counted: dict[Holder, tuple[str, int]] = {}
        """The party of each client that has more than is free, and how much more."""
        self._parties: dict[str, Budget] = {}
        """By party; no budget in it is unused."""

    @property
    def used(self) -> int:
        """What all clients have beyond what is free."""
        return self.all.used

    def note(self, client: Holder, amount: int) -> bool:
        """A client has so much from now on; False, and nothing changes, if there is no room for it.

        Having less is always possible.
        """
        known = self._counted.get(client)
        excess = amount - self.room.free
        if excess <= 0:
            if known is not None:
                self.forget(client)
            return True
        party, before = known or (party_of(client), 0)
        budget = self._parties.get(party)
        if budget is None:
            budget = Budget(self.room.party, self.strangers if client.user.is_anonymous else self.all)
        more = excess - before
        if more > 0 and not budget.has(more):
            return False
        budget.add(more)
        self._parties[party] = budget
        self._counted[client] = party, excess
        return True

    def forget(self, client: Holder) -> None:
        """A client has nothing any more."""
        known = self._counted.pop(client, None)
        if known is not None:
            party, excess = known
            budget = self._parties[party]
            budget.give_back(excess)
            if not budget.used:
                del self._parties[party]


def party_of(client: Holder) -> str:
    """The person, or the address of an anonymous user."""
    user = client.user
    if not user.is_anonymous:
        return user.person
    return f"address {throttled(client.peer_address)}"


def payer(client: Holder) -> Party:
    """The same, for what counts by party."""
    return Party(party_of(client), client.user.is_anonymous)
