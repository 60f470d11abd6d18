"""Turns at something of which there is little, such as the database: parties take them one after another.

A party that asks a thousand times at once waits for itself; another one waits for one turn of each party.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextvars import ContextVar

from hypha.errors import RateLimited

RETRY_AFTER_S = 2.0

_Waiting = OrderedDict[asyncio.Future[None], None]

_PARTY: ContextVar[str] = ContextVar("hypha_party", default="")


class on_behalf_of:  # reads as a statement; a generator would cost three times as much
    """Whose turns are taken inside, and in tasks that are begun there; else they are the server's own."""

    __slots__ = ("_before", "_party")

    def __init__(self, party: str) -> None:
        self._party = party

    def __enter__(self) -> None:
        self._before = _PARTY.set(self._party)

    def __exit__(self, *_: object) -> None:
        _PARTY.reset(self._before)


def party_of_present_work() -> str:
    """Whose turns would be taken now; empty for the server itself."""
    return _PARTY.get()


class Turns:
    """At most `slots` turns are taken at a time; waiters get them party by party, each in its order.

    Args:
        per_party: how many of them one party has at a time.
        most: how many may wait, beside those that go first. most_per_party: how many of one party.
        told: what is said to those who may not wait.
    """

    def __init__(
        self,
        slots: int = 1,
        *,
        per_party: int | None = None,
        most: int | None = None,
        most_per_party: int | None = None,
        told: str = "Too many wait for this right now. Please try again.",
    ) -> None:
        self._free = slots
        self._per_party = per_party
        self._most = most
        self._most_per_party = most_per_party
        self._told = told
        self._held: dict[str, int] = {}
        """How many turns each party has, where that is bounded."""
        self._first: OrderedDict[str, _Waiting] = OrderedDict()
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._first.values())) + sum(map(len, self._waiting.values()))

    @contextlib.asynccontextmanager
    async def taken(self, party: str | None = None, *, first: bool = False) -> AsyncIterator[None]:
        """Wait for a turn, and hold it inside.

        Args:
            party: whose it is, if not that of the present work. first: it comes before all others.

        Raises:
            RateLimited: too many wait.
        """
        name = _PARTY.get() if party is None else party
        if self._free and self._may_begin(name):
            self._begin(name)
        else:
            await self._wait(name, self._first if first else self._waiting)
        try:
            yield
        finally:
            self._end(name)

    async def _wait(self, party: str, queue: OrderedDict[str, _Waiting]) -> None:
        self._check_crowd(party, queue)
        turn = asyncio.get_running_loop().create_future()
        queue.setdefault(party, OrderedDict())[turn] = None
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came in the moment in which the caller gave up
                self._end(party)
            else:
                self._forget(party, turn, queue)
            raise

    def _check_crowd(self, party: str, queue: OrderedDict[str, _Waiting]) -> None:
        most, of_party = self._most, self._most_per_party
        is_full = most is not None and queue is self._waiting and len(self) >= most
        if is_full or (of_party is not None and len(queue.get(party, ())) >= of_party):
            raise RateLimited(self._told, retry_after_s=RETRY_AFTER_S)

    def _forget(self, party: str, turn: asyncio.Future[None], queue: OrderedDict[str, _Waiting]) -> None:
        """Whoever gives up leaves nothing behind, however often that happens while a turn lasts."""
        turns = queue.get(party)
        if turns is not None:
            turns.pop(turn, None)
            if not turns:
                del queue[party]

    def _may_begin(self, party: str) -> bool:
        return self._per_party is None or self._held.get(party, 0) < self._per_party

    def _begin(self, party: str) -> None:
        self._free -= 1
        if self._per_party is not None:
            self._held[party] = self._held.get(party, 0) + 1

    def _end(self, party: str) -> None:
        """Give a turn that ended to the next ones who still wait."""
        self._free += 1
        if self._per_party is not None:
            self._held[party] -= 1
            if not self._held[party]:
                del self._held[party]
        while self._free and (found := self._next()) is not None:
            queue, name = found
            turns = queue.pop(name)
            turn, _ = turns.popitem(last=False)
            if turns:
                queue[name] = turns
            if not turn.done():
                self._begin(name)
                turn.set_result(None)

    def _next(self) -> tuple[OrderedDict[str, _Waiting], str] | None:
        for queue in (self._first, self._waiting):
            for name in queue:
                if self._may_begin(name):
                    return queue, name
        return None
