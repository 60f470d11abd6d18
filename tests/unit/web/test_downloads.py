"""Large answers leave in slices; slow readers wait for themselves, and give way to others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from hypha.errors import RateLimited
from hypha.limits import Party
from hypha.web.downloads import MIB, SLICE_BYTES, WHOLE_BYTES, DownloadLimits, Downloads, Slice, keep_answer

A, B, C = (Party(f"203.0.113.{number}", is_stranger=True) for number in (7, 8, 9))
ANNA = Party("user anna", is_stranger=False)
LIMITS = DownloadLimits(party_bytes=4 * MIB, strangers_bytes=6 * MIB, total_bytes=8 * MIB, wait_s=0.05)


class Reader:
    """Who reads when the test says so."""

    def __init__(self, downloads: Downloads, party: Party, size: int) -> None:
        self.got = bytearray()
        self.reads = asyncio.Event()
        self.download = downloads.of(party)
        self.task = asyncio.create_task(self.download.send(bytes(size), self._take))

    async def _take(self, part: Slice) -> None:
        assert len(part) <= SLICE_BYTES
        await self.reads.wait()
        self.got += part


@pytest.fixture
async def downloads() -> AsyncIterator[Downloads]:
    made = Downloads(LIMITS)
    yield made
    await asyncio.sleep(0)
    assert (made.kept, made.account.parties, made._queues) == (0, 0, {})


async def begun(*readers: Reader) -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(reader.task.done() for reader in readers)


async def end(*readers: Reader) -> None:
    for reader in readers:
        reader.reads.set()
    await asyncio.gather(*(reader.task for reader in readers))


async def test_what_has_not_been_read_counts_and_then_does_not(downloads: Downloads) -> None:
    reader = Reader(downloads, A, MIB + 1)
    await begun(reader)
    assert downloads.kept == MIB + 1
    await end(reader)
    assert (len(reader.got), downloads.kept) == (MIB + 1, 0)


async def test_a_party_waits_for_its_own_answers_alone(downloads: Downloads) -> None:
    first = Reader(downloads, A, 3 * MIB)
    await begun(first)
    second, other = Reader(downloads, A, 2 * MIB), Reader(downloads, B, 2 * MIB)
    await begun(second, other)
    assert downloads.kept == 5 * MIB
    first.reads.set()
    await first.task
    await begun(second, other)
    assert downloads.kept == 4 * MIB
    await end(second, other)


async def test_who_reads_nothing_is_refused_more_and_few_of_its_answers_wait(downloads: Downloads) -> None:
    first = Reader(downloads, A, 3 * MIB)
    await begun(first)
    waiting = [Reader(downloads, A, 2 * MIB) for _ in range(3)]
    with pytest.raises(RateLimited, match="wait already"):
        await waiting[2].task
    for reader in waiting[:2]:
        with pytest.raises(RateLimited, match="not read your other"):
            await reader.task
    await end(first)


async def test_the_oldest_answer_of_who_has_most_gives_way(downloads: Downloads) -> None:
    old, young = Reader(downloads, A, 2 * MIB), Reader(downloads, A, 2 * MIB)
    await begun(old, young)
    others = Reader(downloads, B, 2 * MIB), Reader(downloads, C, MIB)
    with pytest.raises(RateLimited, match="Others needed"):
        await old.task
    await begun(young, *others)
    with pytest.raises(RateLimited, match="no room"):
        await downloads.of(C).keep(2 * MIB)
    await end(young, *others)


async def test_an_answer_in_pieces_is_broken_off_between_them_too(downloads: Downloads) -> None:
    pieces = downloads.of(A)
    await pieces.keep(4 * MIB)
    others = downloads.of(B), downloads.of(C)
    for other in others:
        await other.keep(2 * MIB)
    assert downloads.kept == 4 * MIB
    with pytest.raises(RateLimited, match="Others needed"):
        await pieces.send(b"next", lambda part: asyncio.sleep(0))
    for other in others:
        other.close()


async def test_strangers_leave_room_for_who_is_signed_in(downloads: Downloads) -> None:
    strangers = Reader(downloads, A, 3 * MIB), Reader(downloads, B, 3 * MIB)
    await begun(*strangers)
    anna = Reader(downloads, ANNA, 2 * MIB)
    await begun(anna, *strangers)
    await end(anna, *strangers)


async def test_room_asked_for_before_the_answer_is_that_of_the_answer(downloads: Downloads) -> None:
    download = downloads.of(A)
    await download.keep(3 * MIB)

    async def take(part: Slice) -> None:
        assert downloads.kept == 3 * MIB

    await download.send(bytes(3 * MIB), take)
    assert downloads.kept == 3 * MIB
    download.close()


async def test_a_reader_that_leaves_frees_its_room(downloads: Downloads) -> None:
    reader = Reader(downloads, A, 3 * MIB)
    await begun(reader)
    reader.task.cancel()
    await asyncio.gather(reader.task, return_exceptions=True)


async def test_small_answers_ask_for_nothing() -> None:
    await keep_answer({}, WHOLE_BYTES)
    await keep_answer({}, 3 * MIB)  # nor does one of a request that was not admitted
