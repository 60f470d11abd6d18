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
