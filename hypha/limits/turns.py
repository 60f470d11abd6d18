"""Turns at something of which there is little, such as the database: parties take them one after another.

A party that asks a thousand times at once waits for itself; another one waits for one turn of each party.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextvars import ContextVar

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
    """At most `slots` turns are taken at a time; waiters get them party by party, each in its order."""

    def __init__(self, slots: int = 1) -> None:
        self._free = slots
        self._waiting: OrderedDict[str, OrderedDict[asyncio.Future[None], None]] = OrderedDict()

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    @contextlib.asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for a turn, and hold it inside."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(party_of_present_work())
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, party: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(party, OrderedDict())[turn] = None
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came in the moment in which the caller gave up
                self._pass_on()
            else:
                self._forget(party, turn)
            raise

    def _forget(self, party: str, turn: asyncio.Future[None]) -> None:
        """Whoever gives up leaves nothing behind, however often that happens while a turn lasts."""
        turns = self._waiting.get(party)
        if turns is not None:
            turns.pop(turn, None)
            if not turns:
                del self._waiting[party]

    def _pass_on(self) -> None:
        """Give a turn that ended to the next one who still waits."""
        while self._waiting:
            party, turns = self._waiting.popitem(last=False)
            turn, _ = turns.popitem(last=False)
            if turns:
                self._waiting[party] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
