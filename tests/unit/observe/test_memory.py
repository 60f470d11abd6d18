"""Giving memory back."""

from __future__ import annotations

import asyncio
import subprocess
import sys

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


def test_buffers_of_large_frames_are_used_again_without_page_faults() -> None:
    program = (
        "import resource\n"
        "from hypha.observe.memory import keep_frame_buffers\n"
        "is_set = keep_frame_buffers()\n"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "use = lambda: [bytearray(256 * 1024) for _ in range(6)]\n"
        "use(); before = faults()\n"
        "for _ in range(200): use()\n"
        "print(is_set, faults() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    is_set, faults = done.stdout.split()
    if is_set == "False":
        pytest.skip("this C library has no such setting")
    assert int(faults) < 1000, "384 pages each time would be 76,800"
