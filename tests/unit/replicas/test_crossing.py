"""What a replica tells others of its clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from hypha.presence.entries import ClientEntry
from hypha.replicas.crossing import Crossing
from hypha.replicas.packed import pack_user
from tests.kit.world import World


class FakeBus:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def tell(self, replica: str | None, kind: str, body: bytes) -> None:
        self.kinds.append(kind)

    def send(self, target: Any, frame: bytes, label: bytes = b"") -> None:
        self.kinds.append("frame")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    made.hub.stop()


async def test_who_calls_is_told_again_to_replicas_that_took_this_one_for_gone(world: World) -> None:
    a, _ = world.join("a")
    bus, crossing = FakeBus(), Crossing(world.hub, world.add_manager(), lambda client, names: None)
    crossing.use(bus)  # type: ignore[arg-type]
    crossing.stays[a.address] = 1
    crossing.mirrors.put(
        ClientEntry("w", "b", "someone", facts=pack_user(a.user), replica="other", generation=7)
    )
    world.call(a, "w/b", "S1")
    world.call(a, "w/b", "S2")
    assert bus.kinds == ["client", "frame", "frame"]
    crossing.begin_anew()
    crossing.stays[a.address] = 2
    bus.kinds.clear()
    world.call(a, "w/b", "S3")
    assert bus.kinds == ["client", "frame"]


async def test_clients_of_others_are_found_by_their_workspace_until_they_end(world: World) -> None:
    a, _ = world.join("a")
    crossing = Crossing(world.hub, world.add_manager(), lambda client, names: None)
    crossing.use(FakeBus())  # type: ignore[arg-type]

    def known(workspace: str, client_id: str) -> Any:
        facts = pack_user(a.user)
        return crossing.mirrors.put(
            ClientEntry(workspace, client_id, "x", facts=facts, replica="other", generation=1)
        )

    b, c, elsewhere = known("w", "b"), known("w", "c"), known("lab", "b")
    clients = world.hub.clients
    assert clients.mirrors_in("w") == [b, c] and clients.mirrors_in("lab") == [elsewhere]
    assert clients.everywhere("w") == [a, b, c]
    crossing.mirrors.end(b)
    crossing.mirrors.end(elsewhere)
    assert clients.mirrors_in("w") == [c] and clients.mirrors_in("lab") == []
    assert clients.mirrors() == [c]
