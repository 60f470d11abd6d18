"""Damaged frames by the thousand: nothing is forged, nobody else is hurt, nothing is raised (F14)."""

from __future__ import annotations

import random
from pathlib import Path

import msgpack
import pytest

from hypha.wire.frames import EnvelopeParser
from tests.kit.world import World

FRAMES = Path(__file__).parents[1] / "wire" / "frames"


FORGERIES = [b"\xa4from\xa3o/x", b"\xa3ctx\x80", b"\xa4user\x80", b"\x91" * 30]


def seeds() -> list[bytes]:
    """Captured frames, addressed to the victim."""
    lines = [line.split() for file in sorted(FRAMES.glob("*.txt")) for line in file.read_text().splitlines()]
    made = []
    for way, data in lines:
        if way == "client":
            frame = bytes.fromhex(data)
            main, head, _ = EnvelopeParser().parse(frame)
            target = {"from": "w/hostile", "to": "w/victim"}
            made.append(bytes(msgpack.packb({**main, **target})) + frame[head:])
    return made


def damaged(frame: bytes, chance: random.Random, frames: list[bytes]) -> bytes:
    data = bytearray(frame)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data)) if data else 0
        match chance.randrange(5):
            case 0 if data:
                data[place] = chance.randrange(256)
            case 1:
                del data[place : place + chance.randint(1, 20)]
            case 2:
                data[place:place] = chance.randbytes(chance.randint(1, 8))
            case 3:
                data += chance.choice(frames)[: chance.randint(1, 60)]
            case _:
                data[place:place] = chance.choice(
                    [b"\xa4from\xa3o/x", b"\xa3ctx\x80", b"\xa4user\x80", b"\x91" * 30]
                )
    return bytes(data)


@pytest.mark.spec("faults-F14", "wire-13", "wire-50")
@pytest.mark.parametrize(
    "count", [20_000, pytest.param(1_000_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
async def test_damaged_frames_forge_nothing_and_hurt_nobody(count: int) -> None:
    world: World = World()
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    frames = seeds()
    hostile, link = world.join("hostile")
    victim, received = world.join("victim")
    stranger, foreign = world.join("victim", "other")
    world.hub.events.subscribe(stranger, ["news"])
    arrived = 0
    for number in range(count):
        world.hub.route(hostile, damaged(chance.choice(frames), chance, frames))
        if number % 500 == 0:
            for client, each in ((hostile, link), (victim, received), (stranger, foreign)):
                for frame in each.frames:
                    if frame.get("from") is not None and each is not link:
                        assert frame["from"] == "w/hostile", f"seed {seed}"
                        assert frame.get("ws", "w") == "w"
                        assert "ctx" not in frame
                        assert frame.get("user", hostile.user.to_wire())["id"] == hostile.user.id
                arrived += len(received.frames) if each is received else 0
                each.frames.clear()
                if client.outbox.pinged >= 0:
                    world.pong(client, each)
            world.tick(0.1)
    assert arrived > count // 100
    assert foreign.closed is None
    world.call(victim, "other/victim", "S-last")
    assert foreign.frames[-1]["session"] == "S-last"
    world.hub.stop()
