"""The account of bytes that wait in memory for somebody slow: whose they are, and who gives way for whom.

Each party has a bound, all strangers together a higher one, and all parties the highest: what strangers
cannot have is kept for those who are signed in. When there is no room in the whole, whoever has most gives up
what it has had for longest, unless the asker would then have as much itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hypha.limits.budget import Budget
from hypha.limits.party import Party

GiveUp = Callable[[], None]


@dataclass(frozen=True, slots=True)
class WaitingRoom:
    """How many bytes may wait."""

    person: int
    """Of one signed-in person."""
    stranger: int
    """Of one address of strangers."""
    strangers: int
    """Of all strangers."""
    total: int
    """Of all."""


@dataclass(slots=True)
class _Share:
    """What one party has, and its claims that can be given up, the oldest first."""

    budget: Budget
    claims: dict[Claim, None] = field(default_factory=dict)


class WaitingBytes:
    """Who has how many bytes waiting, of one kind or several.

    Args:
        one_of_any_size: whether a party that has nothing gets as much as it asks for, if the whole has room.
    """

    def __init__(self, room: WaitingRoom, *, one_of_any_size: bool = False) -> None:
        self.room = room
        self._one_of_any_size = one_of_any_size
        self.all = Budget(room.total)
        self.strangers = Budget(room.strangers, self.all)
        self._shares: dict[Party, _Share] = {}
        """By party; no share in it is empty."""

    @property
    def parties(self) -> int:
        """How many have something."""
        return len(self._shares)

    @property
    def used(self) -> int:
        """Bytes of all parties."""
        return self.all.used

    def used_by(self, party: Party) -> int:
        """Bytes of one party."""
        share = self._shares.get(party)
        return 0 if share is None else share.budget.used

    def claim(self, party: Party, give_up: GiveUp | None = None) -> Claim:
        """Something of a party that will have bytes waiting; `close` it in every ending.

        Args:
            give_up: called when somebody else needs the room, after which the claim has nothing; None for
                what cannot be given up.
        """
        return Claim(self, party, give_up)

    def share_of(self, party: Party) -> _Share:
        """The share of a party; a new one is kept only when something is added to it."""
        share = self._shares.get(party)
        if share is None:
            room, whole = self.room, self.strangers if party.is_stranger else self.all
            share = _Share(Budget(room.stranger if party.is_stranger else room.person, whole))
        return share

    def fits(self, party: Party, size: int) -> bool:
        """Whether a party itself may have so many bytes more, wherever they come from."""
        own = self.share_of(party).budget
        return own.used + size <= own.limit or (self._one_of_any_size and not own.used)

    def has_room(self, party: Party, size: int) -> bool:
        """Whether there is room for so many bytes of a party; those give way for it who have more."""
        share = self.share_of(party)
        own, whole = share.budget, share.budget.whole
        if whole is None or not self.fits(party, size):
            return False
        while not whole.has(size):
            is_of_all = not self.all.has(size)
            shares = (each for who, each in self._shares.items() if is_of_all or who.is_stranger)
            yielding = (each for each in shares if each.claims)
            greedy = max(yielding, key=lambda each: each.budget.used, default=share)
            if greedy.budget.used <= own.used + size:
                return False
            next(iter(greedy.claims)).be_given_up()
        return True

    def note(self, claim: Claim, share: _Share, more: int) -> None:
        """A claim has so many bytes more, or less, whether there is room or not."""
        share.budget.add(more)
        if share.budget.used:
            self._shares[claim.party] = share
        else:
            self._shares.pop(claim.party, None)


class Claim:
    """Bytes of one thing that wait: a body, an answer, a socket's messages."""

    __slots__ = ("_account", "_give_up", "party", "size")

    def __init__(self, account: WaitingBytes, party: Party, give_up: GiveUp | None) -> None:
        self._account = account
        self._give_up = give_up
        self.party = party
        self.size = 0
        """Bytes that count for it now."""

    def take(self, size: int) -> bool:
        """Count so many bytes more; False, and nothing changes, if there is no room for them."""
        if not self._account.has_room(self.party, size):
            return False
        self.add(size)
        return True

    def add(self, size: int) -> None:
        """Count so many bytes more, whether there is room for them or not."""
        self._add(self._account.share_of(self.party), size)

    def become(self, size: int) -> bool:
        """Count so many bytes from now on; False, and nothing changes, if that is too many."""
        more = size - self.size
        if more > 0:
            return self.take(more)
        self.give_back(-more)
        return True

    def give_back(self, size: int) -> None:
        """So many bytes wait no more."""
        size = min(size, self.size)
        if size > 0:
            self._add(self._account.share_of(self.party), -size)

    def be_given_up(self) -> None:
        """Somebody else needs the room."""
        self.close()
        if self._give_up is not None:
            self._give_up()

    def keep(self) -> None:
        """From now on it cannot be given up."""
        self._give_up = None
        self.add(0)

    def close(self) -> None:
        """Nothing waits any more; to say so twice does nothing."""
        self.give_back(self.size)

    def _add(self, share: _Share, more: int) -> None:
        self.size += more
        if self._give_up is not None and self.size:
            share.claims.setdefault(self)
        else:
            share.claims.pop(self, None)
        self._account.note(self, share, more)
