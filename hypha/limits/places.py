"""A bounded number of places, shared so that no party can use up what the others need.

What is full never refuses a newcomer for the sake of somebody idle: the party that holds the most
idle places gives up its oldest one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Member = TypeVar("Member")

SHORTEST_STAY_S = 1.0
"""An honest member is idle for a round trip: who has been for longer may be made to leave."""


class Places(Generic[Member]):
    """Places of members of parties; a party is an address, a network or a user.

    A member is busy or idle; only idle ones are ever made to leave. Everything here takes constant time:
    a party is ranked by the most idle members that it had at once since it was last looked at, and only
    looking for who has the most corrects that, so that turning busy and idle again costs next to nothing.

    Args:
        limit: places in all. per_party: places of one party.
        evict: makes an idle member leave; it is no member any more when this is called.
        time: a clock in seconds.
        shortest_stay_s: how long a member may be idle before it can be made to leave by a newcomer whose
            party holds as much.
    """

    def __init__(
        self,
        limit: int,
        per_party: int,
        evict: Callable[[Member], None],
        time: Callable[[], float],
        shortest_stay_s: float = SHORTEST_STAY_S,
    ) -> None:
        self.limit = max(1, limit)
        self.per_party = max(1, min(per_party, limit))
        self._evict = evict
        self._time = time
        self._shortest_stay_s = shortest_stay_s
        self._parties: dict[Member, str] = {}
        self._counts: dict[str, int] = {}
        self._idle: dict[str, dict[Member, float]] = {}
        self._rank: dict[str, int] = {}
        self._ranks: dict[int, dict[str, None]] = {}
        self._top = 0
        self.evicted = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._parties)

    def __contains__(self, member: Member) -> bool:
        return member in self._parties

    def count(self, party: str) -> int:
        """Places that a party holds."""
        return self._counts.get(party, 0)

    def party_of(self, member: Member) -> str | None:
        """Whose place a member holds."""
        return self._parties.get(member)

    def enter(self, member: Member, party: str, *, idle: bool = False) -> bool:
        """Give a newcomer a place; False if there is none for its party now."""
        if self._counts.get(party, 0) >= self.per_party:
            if not self._make_leave(party):
                return self._refuse()
        elif len(self._parties) >= self.limit and not self._make_room(party):
            return self._refuse()
        self._add(member, party)
        if idle:
            self._add_idle(member, party)
        return True

    def move(self, member: Member, party: str) -> bool:
        """Let a member be of another party, as a busy one; False and no change if that one is full."""
        before = self._parties.get(member)
        if before is None or before == party:
            return True
        if self._counts.get(party, 0) >= self.per_party:
            self.refused += 1
            return False
        self.leave(member)
        self._add(member, party)
        return True

    def has_room(self, party: str) -> bool:
        """Whether a newcomer of a party would get a place; one may have to leave for it, and does not yet."""
        if self._counts.get(party, 0) >= self.per_party:
            return self._is_due(party)
        return len(self._parties) < self.limit or self._giver(party) is not None

    def busy(self, member: Member) -> None:
        """From now on a member can't be made to leave."""
        party = self._parties.get(member)
        if party is not None:
            self._idle.get(party, {}).pop(member, None)

    def idle(self, member: Member) -> None:
        """From now on a member has nothing to do."""
        party = self._parties.get(member)
        if party is not None and member not in self._idle.get(party, ()):
            self._add_idle(member, party)

    def leave(self, member: Member) -> bool:
        """Give a place back; nothing happens, and False is returned, for a member that has none."""
        party = self._parties.pop(member, None)
        if party is None:
            return False
        members = self._idle.get(party)
        if members is not None:
            members.pop(member, None)
        left = self._counts[party] - 1
        if left:
            self._counts[party] = left
        else:
            del self._counts[party]
            if members is not None:
                del self._idle[party]
                self._rerank(party, 0)
        return True

    def _add(self, member: Member, party: str) -> None:
        self._parties[member] = party
        self._counts[party] = self._counts.get(party, 0) + 1

    def _refuse(self) -> bool:
        self.refused += 1
        return False

    def _make_room(self, party: str) -> bool:
        giver = self._giver(party)
        return giver is not None and self._make_leave(giver, at_once=True)

    def _giver(self, party: str) -> str | None:
        """Who gives up a place for a newcomer of a party: who holds the most idle ones."""
        greediest = self._greediest()
        if greediest is None:
            return None
        spare = self.count(greediest) - self.count(party)
        if spare > 1 or (spare >= 0 and self._is_due(greediest)):
            return greediest
        return party if self._is_due(party) else None

    def _greediest(self) -> str | None:
        """The party with the most idle members; each step down undoes a step up of `_add_idle`."""
        while self._top:
            party = next(iter(self._ranks[self._top]))
            idle = len(self._idle[party])
            if idle == self._top:
                return party
            self._rerank(party, idle)
        return None

    def _is_due(self, party: str) -> bool:
        since = next(iter(self._idle.get(party, {}).values()), None)
        return since is not None and self._time() - since >= self._shortest_stay_s

    def _make_leave(self, party: str, *, at_once: bool = False) -> bool:
        if not at_once and not self._is_due(party):
            return False
        member = next(iter(self._idle[party]))
        self.leave(member)
        self.evicted += 1
        self._evict(member)
        return True

    def _add_idle(self, member: Member, party: str) -> None:
        members = self._idle.get(party)
        if members is None:
            members = self._idle[party] = {}
        members[member] = self._time()
        if len(members) > self._rank.get(party, 0):
            self._rerank(party, len(members))

    def _rerank(self, party: str, after: int) -> None:
        before = self._rank.pop(party, 0)
        if before:
            rank = self._ranks[before]
            del rank[party]
            if not rank:
                del self._ranks[before]
        if after:
            self._rank[party] = after
            self._ranks.setdefault(after, {})[party] = None
            self._top = max(self._top, after)
        while self._top and self._top not in self._ranks:
            self._top -= 1
