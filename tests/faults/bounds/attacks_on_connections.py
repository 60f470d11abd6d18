"""Attacks on sockets, handshakes and what the hub keeps of clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from hypha.background import Background
from hypha.errors import LimitReached
from hypha.hub.events import MAX_EVENT_NAME, MAX_SUBSCRIPTIONS
from hypha.hub.shares import Room
from hypha.testing import RawCallError, RawClient, RawRefused
from hypha.transports.descriptors import room_for_sockets
from hypha.transports.gather import Gather
from hypha.transports.sockets import Sockets
from hypha.transports.websocket import _BINARY, MAX_EARLY_BYTES, MAX_EARLY_FRAMES, WebSocketLink
from hypha.wire.handshake import MAX_CONTROL_CHARS, MAX_FIRST_MESSAGE_BYTES
from hypha.workspaces.app_ids import MAX_ASKED_AT_ONCE, AppIds
from hypha.workspaces.functions_events import MAX_NAMES_AT_ONCE
from hypha.workspaces.membership import MAX_LEFT_NAMES, STRANGERS_LEFT_NAMES, LeftNames
from tests.faults.bounds.kit import ELSEWHERE, Kit
from tests.kit.manager import FakeHub


class Socket:
    """One end of a connection, which may be told to go."""

    peer_address = "192.0.2.1"

    def __init__(self) -> None:
        self.is_gone = False

    def evict(self) -> None:
        self.is_gone = True


async def sockets(kit: Kit) -> None:
    clock = SimpleNamespace(now=0.0)
    shared = Sockets(8, lambda: clock.now)
    greedy = [Socket() for _ in range(50)]
    taken = [shared.opened(socket, "192.0.2.1") for socket in greedy]
    assert sum(taken) == 6, "three quarters of all"
    assert shared.opened(Socket(), "192.0.2.2") and shared.opened(Socket(), "192.0.2.3")
    clock.now += 5
    assert shared.opened(Socket(), "192.0.2.4"), "full, and yet there is room for who has none"
    assert sum(socket.is_gone for socket in greedy) == 1
    assert room_for_sockets(1024) == 768


async def anonymous_clients(kit: Kit) -> None:
    shared = Sockets(20, lambda: 0.0)
    admitted = [shared.admit(link, "a", is_anonymous=True) for link in (Socket() for _ in range(20))]
    assert sum(admitted) == 5
    few = Sockets(20, lambda: 0.0, strangers_per_address=2)
    assert sum(few.admit(link, "a", is_anonymous=True) for link in (Socket() for _ in range(20))) == 2


async def handshakes(kit: Kit) -> None:
    async def hold() -> None:
        with contextlib.suppress(OSError, Exception):
            await kit.socket("127.0.0.9")

    await asyncio.gather(*(hold() for _ in range(30)))
    async with asyncio.timeout(2):
        newcomer = await RawClient.connect(kit.server.ws_url, local_address=ELSEWHERE)
        await newcomer.close()


async def handshake_time(kit: Kit) -> None:
    silent = await kit.socket()
    async with asyncio.timeout(5):
        await silent.wait_closed()


async def first_message(kit: Kit) -> None:
    with pytest.raises(RawRefused):
        await kit.raw(first={"client_id": "x", "token": "x" * MAX_FIRST_MESSAGE_BYTES})
    client = await kit.raw()
    with contextlib.suppress(ConnectionClosed):
        await client.send_text(json.dumps({"type": "ping", "more": "x" * 2 * MAX_CONTROL_CHARS}))
        await asyncio.sleep(0)
    assert not any(text.get("type") == "pong" for text in client.texts)
    await kit.others_are_well()


async def early_messages(kit: Kit) -> None:
    for frames in ([b"x"] * (MAX_EARLY_FRAMES + 1), [bytes(MAX_EARLY_BYTES // 2 + 1)] * 2):
        reception: Any = SimpleNamespace(hub=kit.world().hub, gather=Gather())
        link = WebSocketLink(reception, "127.0.0.1", "", None)
        closed: list[int] = []
        kit.patch.setattr(link, "close", lambda code, reason, seen=closed: seen.append(code))
        for frame in frames:
            link._keep_early(_BINARY, frame)
        assert closed == [1008]


async def connections_of_a_user(kit: Kit) -> None:
    person = kit.person()
    for number in range(6):
        token = person.token_for("a", f"ws-user-{person.id}" if number < 3 else "public", user_id=person.id)
        await kit.raw(token=token, workspace=person.workspace if number < 3 else "public")
    with pytest.raises(RawRefused, match=r"has 6/6 connections"):
        await kit.raw(token=person.token_for("a", "public", user_id=person.id), workspace="public")


async def clients_of_a_workspace(kit: Kit) -> None:
    person = kit.person()
    for _ in range(4):
        await kit.raw(person)
    with pytest.raises(RawRefused, match=r"has 4/4 clients"):
        await kit.raw(person)


async def clients_that_are_away(kit: Kit) -> None:
    world = kit.world()
    for number in range(50):
        world.lose(world.join(f"c{number}")[0])
    assert world.hub.resume.held == 50
    world.tick(91)
    assert not world.hub.clients and not world.hub.resume.held


async def idle_connections(kit: Kit) -> None:
    world = kit.world()
    _, link = world.join("idle")
    world.now += 601
    world.hub.liveness.sweep(world.now, 600.0)
    assert link.closed is not None and link.closed[0] == 1001
    assert kit.server.url  # idle HTTP connections end by uvicorn's own timer


async def subscriptions(kit: Kit) -> None:
    world = kit.world()
    client, _ = world.join("c")
    with pytest.raises(LimitReached):
        world.hub.events.subscribe(client, [f"e{number}" for number in range(MAX_SUBSCRIPTIONS + 1)])
    with pytest.raises(LimitReached):
        world.hub.events.subscribe(client, ["e" * (MAX_EVENT_NAME + 1)])
    raw = await kit.raw()
    with pytest.raises(RawCallError):
        await raw.call_manager("subscribe", [f"e{number}" for number in range(MAX_NAMES_AT_ONCE + 1)])


async def all_subscriptions(kit: Kit) -> None:
    kit.lower("hypha.hub.events.MAX_ALL_SUBSCRIPTIONS", Room(free=5, party=20, strangers=20, total=50))
    world = kit.world()
    crowd = [world.join(f"c{number}")[0] for number in range(10)]
    for client in crowd:
        for number in range(30):
            with contextlib.suppress(LimitReached):
                world.hub.events.subscribe(client, [f"e{number}"])
    assert [len(client.subscriptions) for client in crowd] == [25] + [5] * 9
    world.hub.events.unsubscribe(crowd[0], [f"e{number}" for number in range(30)])
    world.hub.events.subscribe(crowd[1], [f"n{number}" for number in range(20)])
    for client in crowd:
        world.hub.end(client, "test")
    assert world.hub.events._counted.used == 0


async def subscriptions_left_behind(kit: Kit) -> None:
    assert STRANGERS_LEFT_NAMES < MAX_LEFT_NAMES
    left = LeftNames(STRANGERS_LEFT_NAMES)
    for number in range(100):
        left.put(f"ws/{number}", ("", ""), tuple(f"e{each}" for each in range(MAX_SUBSCRIPTIONS)))
    assert left._left.weight <= STRANGERS_LEFT_NAMES


async def work_in_the_background(kit: Kit) -> None:
    background, never = Background(limit=20, per_party=5), asyncio.Event()
    for number in range(100):
        background.start(never.wait(), "waiting", party=f"w{number % 3}", is_stranger=True)
    assert len(background) == 10
    assert background.start(never.wait(), "waiting", party="mine")
    await background.close()
    hub: Any = FakeHub()
    assert AppIds(hub, hub, hub, hub, hub, Background())._gate._value == MAX_ASKED_AT_ONCE
