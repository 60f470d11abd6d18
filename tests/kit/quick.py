"""What has to be quick, measured on machines on which others work too."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType

import pytest

ATTEMPTS = 5


@dataclass
class Watch:
    """Measures what is done within it, in seconds."""

    seconds: float = 0.0
    _start: float = field(default=0.0, repr=False)

    def __enter__(self) -> Watch:
        self._start = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.monotonic() - self._start


async def check_quick(attempt: Callable[[], Awaitable[float]], within_s: float, least_s: float = 0.0) -> None:
    """One of several attempts, which give their seconds, takes less than so long; none less than the least.

    Whoever shares the machine delays one attempt or another; what waits for something waits in all of them.
    """
    took = []
    for _ in range(ATTEMPTS):
        took.append(await attempt())
        assert took[-1] >= least_s
        if took[-1] < within_s:
            return
    pytest.fail(f"It took {', '.join(f'{seconds:.2f}' for seconds in took)} s; {within_s} s are allowed.")


def least_cpu_s(work: Callable[[], object]) -> float:
    """Processor time of the quickest of several runs, in seconds."""
    took = []
    for _ in range(ATTEMPTS):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return min(took)
