"""Real servers that are replicas of one deployment."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from hypha.testing import ServerProcess


def running_replicas(*flags: str, start_timeout_s: float = 60) -> Iterator[list[ServerProcess]]:
    """Two of them with the same flags, started side by side, for a fixture (`yield from`)."""
    made = [ServerProcess(flags=list(flags), start_timeout_s=start_timeout_s) for _ in range(2)]
    with ExitStack() as stack, ThreadPoolExecutor() as side_by_side:
        for server in made:
            stack.callback(server.close)
        list(side_by_side.map(ServerProcess.start, made))
        yield made
