"""Hears of a signal that stops somebody else's web server before that server acts on it."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_S = 0.05
"""Time for what `prepare` has begun to leave; a second signal does not wait."""


@contextmanager
def before_stop(prepare: Callable[[], None]) -> Iterator[None]:
    """Run `prepare` in the event loop when the process is told to stop, then let its server stop.

    ASGI tells an application only after all requests have ended, and the endless answers of
    HTTP streams never end by themselves. Where no handler of a web server is set, nothing is done.
    """
    loop = asyncio.get_running_loop()
    theirs: dict[int, Any] = {}
    heard: set[int] = set()

    def begin(number: int) -> None:
        prepare()
        loop.call_later(GRACE_S, theirs[number], number, None)

    def on_signal(number: int, frame: FrameType | None) -> None:
        if heard:
            theirs[number](number, frame)
        else:
            heard.add(number)
            loop.call_soon_threadsafe(begin, number)

    if threading.current_thread() is threading.main_thread():
        for stop in STOP_SIGNALS:
            handler = signal.getsignal(stop)
            if callable(handler) and handler is not signal.default_int_handler:
                theirs[stop] = handler
                signal.signal(stop, on_signal)
    try:
        yield
    finally:
        for number, handler in theirs.items():
            if signal.getsignal(number) is on_signal:
                signal.signal(number, handler)
