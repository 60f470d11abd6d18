"""Giving memory back."""

from __future__ import annotations

import asyncio

import pytest

from hypha.observe import memory


async def test_it_trims_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed = asyncio.Event()
    loop = asyncio.get_running_loop()
    calls: list[int] = []

    def trim(pad: int) -> int:
        calls.append(pad)
        if len(calls) == 2:
            loop.call_soon_threadsafe(trimmed.set)
        return 1

    monkeypatch.setattr(memory, "_trim_function", lambda: trim)
    task = asyncio.create_task(memory.trim_regularly(0.001))
    await asyncio.wait_for(trimmed.wait(), 5)
    task.cancel()


@pytest.mark.parametrize("interval_s", [0.0, -1.0])
async def test_it_can_be_switched_off(interval_s: float) -> None:
    await asyncio.wait_for(memory.trim_regularly(interval_s), 1)
