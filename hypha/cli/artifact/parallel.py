"""Several things at once, in threads that end with the command, whatever they wait for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from hypha.cli.artifact.faults import Fault, Stopped, Unreachable

Item = TypeVar("Item")
Result = TypeVar("Result")
LOOK_S = 0.2
"""So often the main thread looks whether it was interrupted."""


class Outcome(Generic[Item, Result]):
    """What came of one item: a result, or the fault that it had."""

    __slots__ = ("error", "item", "result")

    def __init__(self, item: Item, result: Result | None, error: Exception | None) -> None:
        self.item, self.result, self.error = item, result, error


def in_parallel(
    work: Callable[[Item], Result], items: Iterable[Item], jobs: int
) -> Iterator[Outcome[Item, Result]]:
    """Do the same with all items, a few at a time; outcomes come as they are there.

    Faults of single items are outcomes. A server that is gone ends all, and so does a fault of our own.

    Raises:
        Unreachable, Stopped, or what `work` raises that is no `Fault` and no `OSError`.
    """
    todo: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[Outcome[Item, Result]] = queue.SimpleQueue()
    count = 0
    for item in items:
        todo.put(item)
        count += 1
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            try:
                item = todo.get_nowait()
            except queue.Empty:
                return
            assert item is not None
            try:
                done.put(Outcome(item, work(item), None))
            except Exception as error:
                done.put(Outcome(item, None, error))

    for _ in range(min(jobs, count)):
        threading.Thread(target=run, daemon=True).start()
    try:
        for _ in range(count):
            outcome = _next(done)
            error = outcome.error
            if isinstance(error, Unreachable | Stopped) or not isinstance(error, Fault | OSError | None):
                raise error
            yield outcome
    finally:
        ended.set()


def _next(done: queue.SimpleQueue[Outcome[Item, Result]]) -> Outcome[Item, Result]:
    while True:  # with a limit, so that Ctrl-C is heard on every system
        try:
            return done.get(timeout=LOOK_S)
        except queue.Empty:
            continue
