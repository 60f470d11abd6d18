"""Room for large answers of the server's functions: from before they are made until their callers have them.

An answer above one frame goes in chunks, and each chunk is kept until its receiver has acknowledged it. Who
asks a thousand times for four megabytes, and acknowledges nothing, would have the server keep all of them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from hypha.hub.shares import party_of, payer
from hypha.limits import Claim, WaitingBytes, WaitingRoom
from hypha.limits.crew import Crew

if TYPE_CHECKING:
    from hypha.hub.client import Client

Result = TypeVar("Result")

MIB = 1024 * 1024
_THREADS = 2
MAX_BYTES_OF_CLIENT = 32 * MIB
MAX_BYTES_OF_PARTY = 128 * MIB
MAX_BYTES_OF_STRANGERS = 384 * MIB
MAX_BYTES = 768 * MIB


@dataclass(frozen=True, slots=True)
class AnswerRoom:
    """Bytes of large answers that are being made, or on their way."""

    client: int = MAX_BYTES_OF_CLIENT
    """Of one client."""
    party: int = MAX_BYTES_OF_PARTY
    """Of one person, or of one address of anonymous users."""
    strangers: int = MAX_BYTES_OF_STRANGERS
    """Of all anonymous users."""
    total: int = MAX_BYTES
    """Of all."""


MAX_LARGE_ANSWERS = AnswerRoom()


class Place:
    """The room that one answer takes; close it when the answer has arrived, or won't."""

    __slots__ = ("_answers", "_caller", "_size")

    def __init__(self, answers: LargeAnswers, caller: Client, size: int) -> None:
        self._answers = answers
        self._caller = caller
        self._size = size

    def resize(self, size: int) -> None:
        """It takes so much, whether that is there or not: now it is known."""
        more, self._size = size - self._size, size
        self._answers.add(self._caller, more)

    def close(self) -> None:
        """It takes nothing any more."""
        self.resize(0)


class LargeAnswers:
    """Who wants a large answer waits until enough of what was asked for before has been taken."""

    def __init__(self, room: AnswerRoom | None = None) -> None:
        self._room = room = room or MAX_LARGE_ANSWERS
        self._account = WaitingBytes(WaitingRoom(room.party, room.party, room.strangers, room.total))
        self._clients: dict[Client, Claim] = {}
        """What each client has; none is empty."""
        self._waiting: OrderedDict[Client, deque[tuple[asyncio.Future[None], int]]] = OrderedDict()
        """What clients wait for: it is set when there is room for so many bytes."""
        self._crew = Crew(_THREADS, "answers")

    @property
    def used(self) -> int:
        """Bytes that are taken now."""
        return self._account.used

    def is_full(self, caller: Client) -> bool:
        """Whether a client has as much as it may have already: then it waits with whatever it asks for."""
        return caller in self._clients and not self._fits(caller, 1)

    async def place(self, caller: Client, size: int) -> Place:
        """Room for an answer of up to so many bytes; waits for it, in the order in which the client asked."""
        if caller not in self._waiting and self._fits(caller, size):
            self._take(caller, size)
            return Place(self, caller, size)
        found: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append((found, size))
        try:
            await found
        except asyncio.CancelledError:
            if found.done() and not found.cancelled():  # it came in the moment in which the caller left
                self.add(caller, -size)
            raise
        return Place(self, caller, size)

    def unasked(self, caller: Client, size: int) -> Place:
        """Room for an answer of which nobody knew before that it is large: others wait for it."""
        self._take(caller, size)
        return Place(self, caller, size)

    async def made(self, caller: Client, job: Callable[[], Result]) -> Result:
        """Do what takes long for an answer in a thread, when it is the party's turn."""
        return await self._crew.work(job, party_of(caller))

    def add(self, caller: Client, more: int) -> None:
        """A client has so much more, or less; then those come who wait, as far as there is room."""
        if not more:
            return
        claim = self._clients[caller]
        claim.add(more)
        if not claim.size:
            del self._clients[caller]
        if more < 0 and self._waiting:
            self._wake()

    def _fits(self, caller: Client, size: int) -> bool:
        claim = self._clients.get(caller)
        if claim is None:
            return size <= self._room.client and self._account.has_room(payer(caller), size)
        return claim.size + size <= self._room.client and self._account.has_room(claim.party, size)

    def _take(self, caller: Client, size: int) -> None:
        """Count so much more, whether that is there or not."""
        claim = self._clients.get(caller)
        if claim is None:
            claim = self._clients[caller] = self._account.claim(payer(caller))
        claim.add(size)

    def _wake(self) -> None:
        """Give room to those who wait: one place to each client in turn, until the next has none."""
        callers = deque(self._waiting)
        while callers:
            caller = callers.popleft()
            queue = self._waiting[caller]
            while queue and queue[0][0].done():  # it is wanted no more
                queue.popleft()
            if queue and self._fits(caller, queue[0][1]):
                found, size = queue.popleft()
                self._take(caller, size)
                found.set_result(None)
                if queue:
                    callers.append(caller)
            if not queue:
                del self._waiting[caller]

    def stop(self) -> None:
        """Make no more; what is being made is dropped."""
        self._crew.end()
