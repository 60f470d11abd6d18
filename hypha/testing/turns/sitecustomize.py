"""Watches the turns of the server's event loop; Python imports this file at start when it is on the path.

`ServerProcess` puts it there when `HYPHA_TEST_TURNS` names a folder for reports (`hypha.testing.turns`).
A server that is run otherwise knows nothing of it. What counts is the processor time of the loop's own
thread, so threads of the server don't make a turn longer. Whoever shares the machine's cores does, since
they share caches and clock: so much longer than on a quiet machine a turn may be.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

FOLDER_VARIABLE = "TURN_REPORTS"
LIMIT_S = 0.1
PAUSE_S = 0.02
LOOK_EVERY_S = 0.025
YARDSTICK_S = 0.001
"""Processor time of `_measure` on the quiet machine for which the limit is meant."""
READINGS = 5
_SERVERS = frozenset({"hypha", "hypha.server", "hypha.server:app"})


class TurnWatch(threading.Thread):
    """Puts a mark behind what the loop has to do, again and again, and reports how long each had to wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop, folder: Path) -> None:
        super().__init__(name="turn-watch", daemon=True)
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._loop_thread)
        self._report = folder / f"{os.getpid()}.jsonl"
        self._ended = threading.Event()
        self._is_started = False

    def end(self) -> None:
        """The loop ends."""
        self._ended.set()

    def run(self) -> None:
        """Watch until the loop ends."""
        while not self._ended.wait(PAUSE_S):
            try:
                self._watch_one()
            except (RuntimeError, OSError):  # the loop is closed, or its thread is gone
                return

    def _watch_one(self) -> None:
        arrived = threading.Event()
        if not self._is_started:  # what start-up made is frozen at its end; counting that takes long
            self._is_started = gc.get_freeze_count() > 0
        is_started = self._is_started
        begin = end = time.clock_gettime(self._clock)

        def mark() -> None:
            nonlocal end
            end = time.thread_time()
            arrived.set()

        self._loop.call_soon_threadsafe(mark)
        seen: list[list[str]] = []
        while not arrived.wait(LOOK_EVERY_S):
            if self._ended.is_set():
                return
            if time.clock_gettime(self._clock) - begin > LIMIT_S / 4 and len(seen) < 20:
                seen.append(_stack(sys._current_frames().get(self._loop_thread)))
        if end - begin > LIMIT_S and is_started:
            slowness = _slowness()
            if end - begin > LIMIT_S * slowness:
                self._tell(end - begin, slowness, seen)

    def _tell(self, cpu_s: float, slowness: float, seen: list[list[str]]) -> None:
        told = {"cpu_s": round(cpu_s, 3), "slowness": round(slowness, 2), "seen": seen}
        with self._report.open("a") as report:
            report.write(json.dumps(told) + "\n")


def _slowness() -> float:
    """How many times longer than on a quiet machine something takes here and now; at least 1."""
    return max(1.0, sorted(_measure() for _ in range(READINGS))[READINGS // 2] / YARDSTICK_S)


def _measure() -> float:
    """Processor time (s) of a small piece of work that is always the same."""
    start, total = time.thread_time(), 0
    for number in range(20_000):
        total += number * number
    return time.thread_time() - start


def _stack(frame: FrameType | None) -> list[str]:
    frames = traceback.extract_stack(frame)[-12:] if frame is not None else []
    return [f"{part.filename}:{part.lineno} {part.name}" for part in frames]


def _install(folder: Path) -> None:
    """Watch each loop of the main thread from now on; uvloop and asyncio both tell which one runs."""
    tell = asyncio._set_running_loop
    watches: list[TurnWatch] = []

    def set_running_loop(loop: Any) -> None:
        tell(loop)
        if threading.current_thread() is not threading.main_thread():
            return
        for watch in watches:
            watch.end()
        watches.clear()
        if loop is not None:
            watches.append(TurnWatch(loop, folder))
            watches[0].start()

    asyncio._set_running_loop = asyncio.events._set_running_loop = set_running_loop


if os.environ.get(FOLDER_VARIABLE) and not _SERVERS.isdisjoint(sys.orig_argv):
    _install(Path(os.environ[FOLDER_VARIABLE]))
