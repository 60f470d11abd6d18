"""Large answers on their way: who reads slowly, or not at all, has few of them kept in memory.

A web server takes a body of any size at once and keeps what the client has not read. So a large body goes out
in slices, each when the one before has left, and counts until then for whoever asked for it; so do the parts
of an answer that is made while it is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from hypha.errors import RateLimited
from hypha.limits import Claim, Party, WaitingBytes, WaitingRoom
from hypha.web.scope import ANSWER

MIB = 1024 * 1024
SLICE_BYTES = 256 * 1024
"""A larger body is sent in such slices."""
WHOLE_BYTES = 64 * 1024
"""An answer that is not larger is written at once, and not counted."""
PART_BYTES = 16 * 1024
"""The same of one part of several."""

MAX_BYTES_OF_PARTY = 192 * MIB
MAX_BYTES_OF_STRANGERS = 512 * MIB
MAX_BYTES = 1024 * MIB

Slice = bytes | memoryview
SendSlice = Callable[[Slice], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """Bytes of large answers. A party without any gets one of every size, if the whole has room.

    Args:
        party_bytes: of one person or address. strangers_bytes, total_bytes: of all of them.
        wait_s: how long an answer waits for others of its party; as many bytes as it may have may wait.
    """

    party_bytes: int = MAX_BYTES_OF_PARTY
    strangers_bytes: int = MAX_BYTES_OF_STRANGERS
    total_bytes: int = MAX_BYTES
    wait_s: float = 20.0

    @classmethod
    def of_bodies(cls, max_bytes: int) -> Self:
        """The usual ones where a body may have so many bytes."""
        return cls(
            max(MAX_BYTES_OF_PARTY, 3 * max_bytes),
            max(MAX_BYTES_OF_STRANGERS, 8 * max_bytes),
            max(MAX_BYTES, 16 * max_bytes),
        )


class _Queue:
    """The answers of one party that wait for others of it."""

    __slots__ = ("freed", "size")

    def __init__(self) -> None:
        self.size = 0
        self.freed = asyncio.Event()


class Downloads:
    """Who has how much of large answers on the way.

    When there is no room in the whole, the oldest of the party that has most is broken off.
    """

    def __init__(self, limits: DownloadLimits | None = None) -> None:
        self.limits = limits = limits or DownloadLimits()
        room = WaitingRoom(limits.party_bytes, limits.party_bytes, limits.strangers_bytes, limits.total_bytes)
        self.account = WaitingBytes(room, one_of_any_size=True)
        self._queues: dict[Party, _Queue] = {}
        """By party; none is empty."""

    @property
    def kept(self) -> int:
        """Bytes of all parties."""
        return self.account.used

    def of(self, party: Party) -> Download:
        """An answer to a party; `close` it when it has left, or won't."""
        return Download(self, party)

    async def take(self, claim: Claim, size: int) -> None:
        """Keep so many bytes more; waits for other answers of the party.

        Raises:
            RateLimited: they did not leave in time, too many wait, or nobody has more than this party.
        """
        if not self.account.fits(claim.party, size):
            await self._until_it_fits(claim.party, size)
        if not claim.take(size):
            raise self._busy("There is no room for an answer of this size.")

    def freed(self, party: Party) -> None:
        """Something of a party has left."""
        queue = self._queues.get(party)
        if queue is not None:
            queue.freed.set()

    async def _until_it_fits(self, party: Party, size: int) -> None:
        queue = self._queues.setdefault(party, _Queue())
        if queue.size and queue.size + size > self.limits.party_bytes:
            raise self._busy("Too many large answers for you wait already.")
        queue.size += size
        try:
            async with asyncio.timeout(self.limits.wait_s):
                while not self.account.fits(party, size):
                    queue.freed.clear()
                    await queue.freed.wait()
        except TimeoutError:
            raise self._busy("You have not read your other large answers.") from None
        finally:
            queue.size -= size
            if not queue.size:
                self._queues.pop(party, None)

    def _busy(self, sentence: str) -> RateLimited:
        return RateLimited(f"{sentence} Try again later.", retry_after_s=self.limits.wait_s)


class Download:
    """The answer to one request."""

    __slots__ = ("_claim", "_downloads", "_is_given_up", "_sending")

    def __init__(self, downloads: Downloads, party: Party) -> None:
        self._downloads = downloads
        self._claim = downloads.account.claim(party, self._give_up)
        self._sending: asyncio.Timeout | None = None
        self._is_given_up = False

    @property
    def kept(self) -> int:
        """Bytes that count for it now."""
        return self._claim.size

    @property
    def is_under_way(self) -> bool:
        """Whether something counts for it, or was to be given up."""
        return self._claim.size > 0 or self._is_given_up

    async def keep(self, size: int) -> None:
        """Count at least so many bytes.

        Raises:
            RateLimited: see `Downloads.take`.
        """
        if size > self._claim.size:
            await self._downloads.take(self._claim, size - self._claim.size)

    async def send(self, body: bytes, send: SendSlice) -> None:
        """Send a body slice by slice; it counts until the last one has been taken.

        Raises:
            RateLimited: there is no room, or others needed it while this reader was slow.
        """

        async def send_slices() -> None:
            for part in _parts(body):
                await send(part)
            await send(b"")  # which waits until the reader has taken what was before

        await self.sending(len(body), send_slices)

    async def sending(self, size: int, job: Callable[[], Awaitable[None]]) -> None:
        """Let so many bytes count while they are sent.

        Raises:
            RateLimited: as `send`.
        """
        if self._is_given_up:
            raise _given_up()
        before = self.kept
        await self.keep(size)
        try:
            async with asyncio.timeout(None) as self._sending:
                await job()
        except TimeoutError:
            if not self._is_given_up:
                raise
            raise _given_up() from None
        finally:
            self._sending = None
            self._release(self.kept - before)

    def _give_up(self) -> None:
        """Break it off: somebody else needs the memory."""
        self._is_given_up = True
        self._downloads.freed(self._claim.party)
        if self._sending is not None:
            self._sending.reschedule(asyncio.get_running_loop().time())

    def close(self) -> None:
        """The request is over."""
        self._release(self.kept)

    def _release(self, size: int) -> None:
        self._claim.give_back(max(0, size))
        self._downloads.freed(self._claim.party)


def _given_up() -> RateLimited:
    return RateLimited("Others needed the room of this answer.")


def _parts(body: bytes) -> Iterator[Slice]:
    view = memoryview(body)
    for at in range(0, len(view), SLICE_BYTES):
        yield view[at : at + SLICE_BYTES]


class Answer(Protocol):
    """What answers a request."""

    async def keep(self, size: int) -> None:
        """Room for an answer of so many bytes."""


async def keep_answer(scope: Mapping[str, Any], size: int) -> None:
    """Ask for room for an answer of so many bytes before it begins, so that its refusal can be told.

    Raises:
        RateLimited: too much of what the caller asked for is on its way.
    """
    if size > WHOLE_BYTES:
        answer: Answer | None = scope.get(ANSWER)
        if answer is not None:
            await answer.keep(size)
