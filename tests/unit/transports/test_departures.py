"""Peers that hang up by the thousand are closed a few per turn of the event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from hypha.transports.departures import PER_TURN, Departures


class Wire:
    """A transport that notes when it was closed."""

    def __init__(self, closed: list[Wire]) -> None:
        self._closed = closed

    def close(self) -> None:
        self._closed.append(self)


async def next_turn() -> None:
    await asyncio.sleep(0)


async def test_each_turn_closes_a_few_in_order_until_all_are_closed() -> None:
    departures, loop = Departures(), asyncio.get_running_loop()
    closed: list[Any] = []
    wires = [Wire(closed) for _ in range(2 * PER_TURN + 1)]
    for wire in wires:
        departures.add(wire, loop)
    assert closed == []
    counts = []
    for _ in range(4):
        await next_turn()
        counts.append(len(closed))
    assert counts == [PER_TURN, 2 * PER_TURN, len(wires), len(wires)]
    assert closed == wires


async def test_one_that_comes_while_others_wait_has_its_turn_after_them() -> None:
    departures, loop = Departures(), asyncio.get_running_loop()
    closed: list[Any] = []
    wires = [Wire(closed) for _ in range(PER_TURN + 2)]
    for wire in wires[:-1]:
        departures.add(wire, loop)
    await next_turn()
    departures.add(wires[-1], loop)
    await next_turn()
    assert closed == wires


async def test_one_that_comes_after_all_were_closed_is_closed_too() -> None:
    departures, loop = Departures(), asyncio.get_running_loop()
    closed: list[Any] = []
    for number in (1, 2):
        departures.add(Wire(closed), loop)
        await next_turn()
        assert len(closed) == number
