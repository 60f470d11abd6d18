"""Replicas in one process, with a clock that a test moves or that of the event loop."""

from __future__ import annotations

import asyncio

from hypha.bus.base import Target
from hypha.bus.memory import MemoryWire
from hypha.testing import eventually
from tests.kit.clock import Clock
from tests.kit.deployments import Listener

TO_B = Target("b", "lab", "c", 1)


async def test_everything_is_on_its_way_for_as_long_as_it_is_told() -> None:
    clock, at_b = Clock(), Listener("b", {("lab", "c"): 1})
    wire = MemoryWire(clock, delay_s=0.5)
    a = wire.member("a", Listener("a"))
    await wire.member("b", at_b).open()
    a.send(TO_B, b"1")
    clock.advance(0.4)
    a.send(TO_B, b"2")
    assert at_b.log == []
    clock.advance(0.5)
    assert [entry[-1] for entry in at_b.log] == [b"1", b"2"]


async def test_the_event_loop_is_a_clock() -> None:
    at_b = Listener("b", {("lab", "c"): 1})
    wire = MemoryWire(asyncio.get_running_loop())
    await wire.member("b", at_b).open()
    wire.member("a", Listener("a")).send(TO_B, b"1")
    await eventually(lambda: at_b.log == [("frame", "c", b"1")])


async def test_nothing_is_kept_of_what_has_arrived() -> None:
    clock = Clock()
    wire = MemoryWire(clock)
    a, b = (wire.member(name, Listener(name)) for name in "ab")
    for bus in (a, b):
        await bus.open()
        await bus.listen("lab")
    a.send(TO_B, b"1")
    a.publish("lab", "kind", b"2")
    wire.lose("a", "b")
    a.tell(None, "kind", b"3")
    while clock.timers:
        clock.advance(0)
    await a.close()
    await b.close()
    assert not wire._ways and not wire._listeners and not wire._members
