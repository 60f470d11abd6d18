"""The presence of replicas in one process."""

from __future__ import annotations

import asyncio

from hypha.presence.entries import Change, ClientEntered, ClientEntry, Entered, ServiceEntry
from hypha.presence.memory import MemorySpace
from hypha.testing import eventually
from tests.kit.clock import Clock


async def test_the_event_loop_is_a_clock() -> None:
    space = MemorySpace(asyncio.get_running_loop())
    a, b = space.member("a"), space.member("b")
    heard: list[Change] = []
    b.follow(heard.append)
    for member in (a, b):
        await member.open()
        await member.watch("lab")
    entered = await a.enter(ClientEntry("lab", "c", "alice"))
    assert isinstance(entered, Entered)
    assert heard == [], "not inside of the call"
    await eventually(lambda: heard == [ClientEntered(entered.client, None)])


async def test_nothing_is_kept_of_clients_that_have_gone() -> None:
    space = MemorySpace(Clock())
    a = space.member("a")
    await a.open()
    for number in range(3):
        entered = await a.enter(ClientEntry(f"lab-{number}", "c", "alice"))
        assert isinstance(entered, Entered)
        generation = entered.client.generation
        await a.offer(ServiceEntry(f"lab-{number}", "c", "s", generation, record=b"x", is_public=True))
        if number:
            a.leave(f"lab-{number}", "c", generation)
    await a.close()
    assert not space._clients and not space._members
    assert not space._services._buckets and not space._services._bytes
