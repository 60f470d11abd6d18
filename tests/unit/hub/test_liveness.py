"""Which silent links are taken for dead; no honest busy client is ever cut off."""

from __future__ import annotations

from hypha.hub.client import Client
from tests.kit.world import FakeLink, World


def look_for(world: World, seconds: float) -> None:
    """The liveness sweep, every 10 s for so long."""
    end = world.now + seconds
    while world.now < end:
        world.now += 10.0
        world.hub.liveness.sweep(world.now, 0.0)


def silent(world: World, name: str) -> tuple[Client, FakeLink]:
    client, link = world.join(name)
    client.last_received = client.last_alive = world.now
    return client, link


async def test_a_client_that_answers_no_ping_for_a_minute_is_dead(world: World) -> None:
    _, link = silent(world, "gone")
    look_for(world, 60)
    assert link.pings
    assert link.closed is None
    look_for(world, 10)
    assert link.closed == (1006, "aborted")


async def test_a_client_that_works_on_a_long_call_is_not_cut_off(world: World) -> None:
    caller, _ = world.join("caller")
    _, link = silent(world, "busy")
    world.call(caller, "w/busy", t=150.0)  # half of the caller's timeout of 300 s
    look_for(world, 290)
    assert link.closed is None


async def test_when_the_caller_waits_no_more_the_silent_client_is_dead(world: World) -> None:
    caller, _ = world.join("caller")
    _, link = silent(world, "busy")
    world.call(caller, "w/busy", t=45.0)
    look_for(world, 100)
    assert link.closed == (1006, "aborted")


async def test_calls_that_came_in_the_silence_keep_no_dead_link_alive(world: World) -> None:
    caller, _ = world.join("caller")
    client, link = silent(world, "gone")
    look_for(world, 50)
    for session in ("A", "B", "C"):
        world.call(caller, "w/gone", session, t=300.0)
    look_for(world, 20)
    assert link.closed == (1006, "aborted")
    assert len(client.pending) == 3
