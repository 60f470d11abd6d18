"""Bodies that are coming: at some pace, within a budget, and nobody's fault is another's."""

from __future__ import annotations

import asyncio

import pytest

from hypha.errors import InvalidRequest, LimitReached
from hypha.limits import Party
from hypha.settings import Settings
from hypha.web.uploads import PART_BYTES, Uploads
from tests.kit.uploads import Sender, part, person


def made(**options: float) -> Uploads:
    return Uploads.from_settings(Settings(**options))  # type: ignore[arg-type]


async def test_what_comes_whole_is_never_slow_and_what_follows_is_passed_on() -> None:
    sender = Sender(made(body_patience_s=0.05), "a")
    sender.parts.put_nowait(part(b"x", more=False))
    assert (await sender.upload())["body"] == b"x"
    leaving = asyncio.create_task(sender.upload())
    await asyncio.sleep(0.1)
    assert not leaving.done(), "only the client's leaving can come"
    sender.parts.put_nowait({"type": "http.disconnect"})
    assert (await leaving)["type"] == "http.disconnect"


async def test_a_fast_beginning_buys_no_silence() -> None:
    sender = Sender(made(least_body_rate=1000, body_patience_s=0.2), "a")
    await sender.sends(10_000_000)
    with pytest.raises(InvalidRequest, match="1000 bytes per second"):
        await asyncio.wait_for(sender.upload(), 2)


async def test_one_byte_again_and_again_is_too_slow() -> None:
    sender = Sender(made(least_body_rate=1000, body_patience_s=0.2), "a")

    async def dribble() -> None:
        while True:
            sender.parts.put_nowait(part(b"x"))
            await asyncio.sleep(0.05)

    dribbling = asyncio.create_task(dribble())
    with pytest.raises(InvalidRequest, match="too slowly"):
        async with asyncio.timeout(2):
            while True:
                await sender.upload()
    dribbling.cancel()


async def test_the_time_in_which_nobody_reads_does_not_count() -> None:
    sender = Sender(made(body_patience_s=0.2), "a")
    await sender.sends(10)
    await asyncio.sleep(0.4)
    await sender.sends(10)


async def test_a_party_has_its_share_and_no_more() -> None:
    uploads = made(unfinished_bodies_bytes=10_000, unfinished_bodies_per_address_bytes=4000)
    first, second, other = Sender(uploads, "a"), Sender(uploads, "a"), Sender(uploads, "b")
    await first.sends(3000)
    with pytest.raises(LimitReached, match="from your address"):
        await second.sends(3000)
    await other.sends(3000)
    assert uploads.account.used == 2 * (3000 + PART_BYTES)
    first.upload.close()
    await second.sends(3000)


async def test_the_greediest_gives_up_its_oldest_when_all_is_taken() -> None:
    uploads = made(unfinished_bodies_bytes=10_000, unfinished_bodies_per_address_bytes=9000)
    greedy = [Sender(uploads, "greedy") for _ in range(3)]
    for sender in greedy:
        await sender.sends(2800)
    waiting = asyncio.create_task(greedy[0].upload())
    await asyncio.sleep(0)
    await Sender(uploads, "honest").sends(2000)
    with pytest.raises(LimitReached, match="unfinished"):
        await waiting
    with pytest.raises(LimitReached):
        await greedy[2].sends(2800)
    assert uploads.account.used_by(person("honest")) == 2000 + PART_BYTES
    for sender in greedy:
        sender.upload.close()
    assert uploads.account.used_by(person("greedy")) == 0
    assert uploads.account.used == 2000 + PART_BYTES


async def test_who_gave_up_while_nobody_waited_learns_it_at_the_next_part() -> None:
    uploads = made(unfinished_bodies_bytes=10_000, unfinished_bodies_per_address_bytes=9000)
    greedy = Sender(uploads, "greedy")
    await greedy.sends(8000)
    await Sender(uploads, "honest").sends(4000)
    with pytest.raises(LimitReached):
        await greedy.sends(10)
    assert uploads.account.used_by(person("greedy")) == 0


async def test_tiny_parts_count_for_what_they_cost() -> None:
    uploads = made()
    sender = Sender(uploads, "a")
    for _ in range(10):
        await sender.sends(1)
    assert uploads.account.used == 10 * (1 + PART_BYTES)


async def test_bodies_of_strangers_leave_room_for_who_is_signed_in() -> None:
    uploads = made(unfinished_bodies_bytes=100_000, unfinished_bodies_per_address_bytes=30_000)
    strangers = [Sender(uploads, Party(f"192.0.2.{number}", is_stranger=True)) for number in range(4)]
    for sender in strangers[:3]:
        await sender.sends(24_000)
    with pytest.raises(LimitReached, match="in all"):
        await strangers[3].sends(24_000)
    await Sender(uploads, "anna").sends(24_000)
    assert uploads.account.strangers.used <= 75_000 < uploads.account.used
