"""Clients inside the server wait for their receivers as those outside do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hypha.auth.users import root_user
from hypha.hub.client import Client
from hypha.hub.local_connection import LocalConnection
from hypha.wire.frames import pack
from tests.kit.world import World


@pytest.fixture
def inner(world: World) -> LocalConnection:
    return LocalConnection.open(world.hub, "w", "inner", root_user("w"), {})


async def is_waiting(task: asyncio.Task[None]) -> bool:
    for _ in range(5):
        await asyncio.sleep(0)
    return not task.done()


def emitting(inner: LocalConnection, to: str) -> asyncio.Task[None]:
    return asyncio.create_task(inner.emit_message(pack({"type": "news", "to": to})))


@pytest.fixture
def full(world: World) -> tuple[Client, Client]:
    """Two receivers that are full."""
    clients = world.join("b")[0], world.join("c")[0]
    for client in clients:
        world.hub.flow.choke(client)
    return clients


async def test_only_who_sends_to_a_full_receiver_waits_until_it_has_drained(
    world: World, inner: LocalConnection, full: tuple[Client, Client]
) -> None:
    b, c = full
    to_b, to_c = emitting(inner, "w/b"), emitting(inner, "c")
    assert await is_waiting(to_b) and await is_waiting(to_c)
    world.join("d")
    assert not await is_waiting(emitting(inner, "w/d"))
    world.hub.flow.release(c)
    assert not await is_waiting(to_c)
    assert await is_waiting(to_b)
    world.hub.flow.release(b)
    assert not await is_waiting(to_b)
    for receiver in full:
        link: Any = receiver.connection
        assert link.methods() == ["news"]


async def test_a_broadcast_waits_for_the_slowest_of_its_receivers(
    world: World, inner: LocalConnection, full: tuple[Client, Client]
) -> None:
    b, c = full
    for receiver in full:
        world.hub.events.subscribe(receiver, ["news"])
    to_all = emitting(inner, "*")
    assert await is_waiting(to_all)
    world.hub.flow.release(b)
    assert await is_waiting(to_all)
    world.hub.flow.release(c)
    assert not await is_waiting(to_all)


async def test_nobody_waits_for_a_receiver_that_ended_or_after_the_end_of_the_link(
    world: World, inner: LocalConnection, full: tuple[Client, Client]
) -> None:
    b, _ = full
    to_b, to_c = emitting(inner, "w/b"), emitting(inner, "w/c")
    assert await is_waiting(to_b) and await is_waiting(to_c)
    world.hub.end(b, "gone")
    assert not await is_waiting(to_b)
    assert await is_waiting(to_c)
    await inner.disconnect()
    assert not await is_waiting(to_c)


async def test_a_library_that_fails_on_one_message_gets_the_next_and_those_before_it_listened(
    world: World, inner: LocalConnection, caplog: pytest.LogCaptureFixture
) -> None:
    a, _ = world.join("a")
    taken: list[bytes] = []
    all_taken = asyncio.Event()

    async def take(frame: bytes) -> None:
        taken.append(frame)
        if len(taken) == 1:
            raise ValueError("odd")
        all_taken.set()

    world.call(a, "w/inner", "early")
    inner.on_message(take)
    world.call(a, "w/inner", "late")
    await asyncio.wait_for(all_taken.wait(), 5)
    assert [b"early" in taken[0], b"late" in taken[1]] == [True, True]
    assert "A startup service failed to take a message: odd" in caplog.text
