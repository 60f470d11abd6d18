"""What clients leave behind is freed a little per turn of the event loop."""

from __future__ import annotations

import asyncio

from hypha.hub.leftovers import PER_TURN_BYTES, Leftovers


class Counted(bytearray):
    """A buffer that tells when it is freed."""

    alive = 0

    def __init__(self, size: int) -> None:
        super().__init__(size)
        Counted.alive += 1

    def __del__(self) -> None:
        Counted.alive -= 1


async def test_each_turn_frees_a_mebibyte_until_nothing_is_left() -> None:
    leftovers = Leftovers(asyncio.get_running_loop())
    leftovers.add([Counted(PER_TURN_BYTES // 2) for _ in range(5)])
    assert Counted.alive == 5
    counts = []
    for _ in range(4):
        await asyncio.sleep(0)
        counts.append(Counted.alive)
    assert counts == [3, 1, 0, 0]
    leftovers.add([Counted(PER_TURN_BYTES)])
    await asyncio.sleep(0)
    assert Counted.alive == 0


async def test_small_buffers_go_with_their_owner() -> None:
    leftovers = Leftovers(asyncio.get_running_loop())
    leftovers.add([Counted(100) for _ in range(10)])
    assert Counted.alive == 0


async def test_what_others_still_need_stays() -> None:
    leftovers = Leftovers(asyncio.get_running_loop())
    shared = Counted(PER_TURN_BYTES)
    leftovers.add([shared])
    await asyncio.sleep(0)
    assert Counted.alive == 1
    assert len(shared) == PER_TURN_BYTES
