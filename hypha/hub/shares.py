"""What clients may have together, in all and of each party: many of them have little more than one may."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from hypha.auth.users import User
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
    """How much of something there is.

    Args:
        free: what every client may have without being counted, so that nobody is ever without any.
        party: beyond that of one person, or of one address of anonymous users.
        strangers: of all anonymous users. total: of everybody.
    """

    free: int
    party: int
    strangers: int
    total: int


class Shares:
    """Amounts of clients that count together."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.used = self.used_by_strangers = 0
        self._counted: dict[Holder, tuple[str, bool, int]] = {}
        self._of_party: Counter[str] = Counter()

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
        party, is_stranger, before = known or (_party(client), client.user.is_anonymous, 0)
        more = excess - before
        if more > 0 and not self._has_room(party, more, is_stranger):
            return False
        self._counted[client] = party, is_stranger, excess
        self._add(party, more, is_stranger)
        return True

    def forget(self, client: Holder) -> None:
        """A client has nothing any more."""
        known = self._counted.pop(client, None)
        if known is not None:
            party, is_stranger, excess = known
            self._add(party, -excess, is_stranger)

    def _has_room(self, party: str, more: int, is_stranger: bool) -> bool:
        room = self.room
        if is_stranger and self.used_by_strangers + more > room.strangers:
            return False
        return self.used + more <= room.total and self._of_party[party] + more <= room.party

    def _add(self, party: str, more: int, is_stranger: bool) -> None:
        self.used += more
        self._of_party[party] += more
        if not self._of_party[party]:
            del self._of_party[party]
        if is_stranger:
            self.used_by_strangers += more


def _party(client: Holder) -> str:
    """The person, or the address of an anonymous user."""
    user = client.user
    if not user.is_anonymous:
        return user.parent or user.id
    return f"address {throttled(client.peer_address)}"
