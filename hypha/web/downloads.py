"""Large answers on their way: who reads slowly, or not at all, has few of them kept in memory.

A web server takes a body of any size at once and keeps what the client has not read. So a large body goes out
in slices, each when the one before has left, and counts until then for whoever asked for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from hypha.errors import RateLimited
from hypha.limits import Budget, Party
from hypha.web.scope import ANSWER

MIB = 1024 * 1024
SLICE_BYTES = 256 * 1024
"""What is not larger is sent at once, and not counted."""

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


@dataclass(slots=True)
class _Share:
    """What one party has; the downloads in the order in which they began."""

    kept: int = 0
    waiting: int = 0
    downloads: dict[Download, None] = field(default_factory=dict)
    freed: asyncio.Event = field(default_factory=asyncio.Event)


class Downloads:
    """Who has how much of large answers on the way.

    When there is no room in the whole, the oldest of the party that has most is broken off.
    """

    def __init__(self, limits: DownloadLimits | None = None) -> None:
        self.limits = limits or DownloadLimits()
        self._all = Budget(self.limits.total_bytes)
        self._strangers = Budget(self.limits.strangers_bytes, self._all)
        self._shares: dict[Party, _Share] = {}

    @property
    def kept(self) -> int:
        """Bytes of all parties."""
        return self._all.used

    def of(self, party: Party) -> Download:
        """An answer to a party; `close` it when it has left, or won't."""
        return Download(self, party)

    async def take(self, download: Download, size: int) -> None:
        """Keep so many bytes more; waits for other answers of the party.

        Raises:
            RateLimited: they did not leave in time, too many wait, or nobody has more than this party.
        """
        share = self._shares.setdefault(download.party, _Share())
        try:
            if not self._fits(share, size):
                await self._until_it_fits(share, size)
            self._make_room(download.party, share, size)
        except BaseException:
            self._drop_unused(download.party, share)
            raise
        share.downloads[download] = None
        share.kept += size
        download.kept += size
        self._whole(download.party).add(size)

    def release(self, download: Download, size: int) -> None:
        """So many bytes have left, or won't."""
        share = self._shares.get(download.party)
        if share is None or not size:
            return
        share.kept -= size
        download.kept -= size
        self._whole(download.party).give_back(size)
        if not download.kept:
            share.downloads.pop(download, None)
        share.freed.set()
        self._drop_unused(download.party, share)

    def _fits(self, share: _Share, size: int) -> bool:
        return not share.kept or share.kept + size <= self.limits.party_bytes

    async def _until_it_fits(self, share: _Share, size: int) -> None:
        if share.waiting and share.waiting + size > self.limits.party_bytes:
            raise self._busy("Too many large answers for you wait already.")
        share.waiting += size
        try:
            async with asyncio.timeout(self.limits.wait_s):
                while not self._fits(share, size):
                    share.freed.clear()
                    await share.freed.wait()
        except TimeoutError:
            raise self._busy("You have not read your other large answers.") from None
        finally:
            share.waiting -= size

    def _make_room(self, party: Party, share: _Share, size: int) -> None:
        while not self._whole(party).has(size):
            is_of_all = not self._all.has(size)
            shares = (each for who, each in self._shares.items() if is_of_all or who.is_stranger)
            greediest = max(shares, key=lambda each: each.kept)
            if greediest.kept <= share.kept + size:
                raise self._busy("There is no room for an answer of this size.")
            next(iter(greediest.downloads)).give_up()

    def _whole(self, party: Party) -> Budget:
        return self._strangers if party.is_stranger else self._all

    def _drop_unused(self, party: Party, share: _Share) -> None:
        if not (share.kept or share.waiting):
            self._shares.pop(party, None)

    def _busy(self, sentence: str) -> RateLimited:
        return RateLimited(f"{sentence} Try again later.", retry_after_s=self.limits.wait_s)


class Download:
    """The answer to one request."""

    __slots__ = ("_downloads", "_is_given_up", "_sending", "kept", "party")

    def __init__(self, downloads: Downloads, party: Party) -> None:
        self._downloads = downloads
        self.party = party
        self.kept = 0
        """Bytes that count for it now."""
        self._sending: asyncio.Timeout | None = None
        self._is_given_up = False

    async def keep(self, size: int) -> None:
        """Count at least so many bytes; what is not larger than a slice does not count.

        Raises:
            RateLimited: see `Downloads.take`.
        """
        if size > SLICE_BYTES and size > self.kept:
            await self._downloads.take(self, size - self.kept)

    async def send(self, body: bytes, send: SendSlice) -> None:
        """Send a body slice by slice; it counts until the last one has been taken.

        Raises:
            RateLimited: there is no room, or others needed it while this reader was slow.
        """
        if self._is_given_up:
            raise _given_up()
        before = self.kept
        await self.keep(len(body))
        try:
            async with asyncio.timeout(None) as self._sending:
                for part in _parts(body):
                    await send(part)
        except TimeoutError:
            if not self._is_given_up:
                raise
            raise _given_up() from None
        finally:
            self._sending = None
            self._downloads.release(self, max(0, self.kept - before))

    def give_up(self) -> None:
        """Break it off: somebody else needs the memory."""
        self._is_given_up = True
        self._downloads.release(self, self.kept)
        if self._sending is not None:
            self._sending.reschedule(asyncio.get_running_loop().time())

    def close(self) -> None:
        """The request is over."""
        self._downloads.release(self, self.kept)


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
    if size > SLICE_BYTES:
        answer: Answer | None = scope.get(ANSWER)
        if answer is not None:
            await answer.keep(size)
