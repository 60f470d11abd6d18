"""Time and timers as parts are given them: those of the event loop, or others that a test moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Timer(Protocol):
    """Something that will run."""

    def cancel(self) -> None:
        """Let it not run."""


class Clock(Protocol):
    """Monotonic time, and what is to run later; the event loop is one."""

    def time(self) -> float:
        """Seconds since some moment in the past."""

    def call_soon(self, callback: Callable[..., object], /, *args: Any) -> Timer:
        """Run a function in the next turn of the event loop."""

    def call_later(self, delay: float, callback: Callable[..., object], /, *args: Any) -> Timer:
        """Run a function after `delay` seconds."""
