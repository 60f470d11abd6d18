"""Time that a test moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any


@dataclass
class Timer:
    """Something that is to happen at a time, unless it is cancelled."""

    due: float
    call: Callable[[], object]
    is_cancelled: bool = False

    def cancel(self) -> None:
        """It is not to happen."""
        self.is_cancelled = True


@dataclass
class Clock:
    """Seconds, as `clock()` or `clock.time()`. Set `now`, or `advance` it so that timers run."""

    now: float = 1000.0
    timers: list[Timer] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def time(self) -> float:
        """The time, for parts that ask an object for it."""
        return self.now

    def call_soon(self, call: Callable[..., object], /, *args: Any) -> Timer:
        """Have something happen when time is advanced next, by nothing too."""
        return self.call_later(0, call, *args)

    def call_later(self, delay_s: float, call: Callable[..., object], /, *args: Any) -> Timer:
        """Have something happen after a while, as event loops do."""
        timer = Timer(self.now + delay_s, partial(call, *args))
        self.timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        """Let time pass; what is due meanwhile happens at its time, in order."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer.due <= end and not timer.is_cancelled]:
            first = min(due, key=lambda timer: timer.due)
            self.timers.remove(first)
            self.now = max(self.now, first.due)
            first.call()
        self.now = end
