"""What waits for lookups at other replicas counts for who sent it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from hypha.hub.client import Client
from hypha.replicas.seeking import FRAME_COST_BYTES, MAX_SOUGHT_BYTES, Seeking
from tests.kit.world import World

FRAME = b"x" * (256 * 1024)


class Lookups:
    """What is asked of others; it is answered when the test says so: nobody is there."""

    def __init__(self) -> None:
        self.answered = asyncio.Event()

    async def prepare(self, workspace: str) -> None:
        await self.answered.wait()

    async def client(self, workspace: str, client_id: str) -> None:
        return None


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    made.hub.stop()


def stranger(world: World, number: int) -> Client:
    """An anonymous client at an address of its own."""
    client, link = world.join(f"c{number}", f"w{number}")
    link.peer_address = f"10.0.0.{number}"
    return client


def filled(seeking: Seeking, sender: Client) -> int:
    """Send until there is no room; how many frames had some."""
    number = 0
    while seeking.take(sender, f"lab/made-up-{number}", FRAME):
        number += 1
    return number


async def test_one_address_takes_no_room_of_others_and_gets_it_back(world: World) -> None:
    lookups = Lookups()
    seeking = Seeking(world.hub, lookups, lookups)  # type: ignore[arg-type]
    greedy, other = stranger(world, 1), stranger(world, 2)
    cost = len(FRAME) + FRAME_COST_BYTES
    share = MAX_SOUGHT_BYTES.party // cost
    assert filled(seeking, greedy) == share
    assert filled(seeking, other) == share
    third = stranger(world, 3)
    assert filled(seeking, third) == MAX_SOUGHT_BYTES.strangers // cost - 2 * share
    world.hub.route = lambda sender, data: None  # type: ignore[method-assign]
    lookups.answered.set()
    await asyncio.sleep(0.01)
    lookups.answered.clear()
    assert filled(seeking, third) == filled(seeking, other) == share
    await seeking.close()
