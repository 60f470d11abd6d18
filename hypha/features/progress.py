"""How far a long call has come, told now and then to a function of its caller; nothing waits for that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from hypha.auth.users import Context
from hypha.errors import HyphaError, InvalidArguments
from hypha.features.ports import CALL_BACK_TIMEOUT_S, ServicesPort, TasksPort

INTERVAL_S = 0.5
"""Between two reports of one call."""

Tell = Callable[[Mapping[str, Any]], Awaitable[None]]
Start = Callable[[Coroutine[Any, Any, None], str], bool]


class Progress:
    """Counts what is done of one call; use it as a context manager around the work.

    Reports are `{"type": "info", "operation", "message", "done", "total", "done_bytes"}`, and at the end one
    of type `success`; there is none of an error, which the caller gets anyway. One is sent at a time, the
    newest; a caller that fails or is too slow gets no more.

    Args:
        tell: sends a report; None if nobody wants any. start: runs what nobody waits for.
        operation: what is done, such as `commit`. unit: what is counted.
    """

    def __init__(
        self, tell: Tell | None = None, start: Start | None = None, operation: str = "", unit: str = "files"
    ) -> None:
        self.done = self.total = self.done_bytes = 0
        self._tell, self._start = tell, start
        self._operation, self._unit = operation, unit
        self._is_telling = False
        self._told_at = float("-inf")

    def expect(self, count: int) -> None:
        """So many more are to be done."""
        self.total += count

    def add(self, count: int = 1, size_bytes: int = 0) -> None:
        """So many more are done."""
        self.done += count
        self.done_bytes += size_bytes
        if self._tell is None or self._is_telling:
            return
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= INTERVAL_S:
            self._told_at = now
            self._report("info")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tell is not None and error is None:
            self._report("success")
            await asyncio.sleep(0)  # it goes before the answer of the call

    def _report(self, kind: str) -> None:
        if self._tell is None or self._start is None:
            return
        report = {
            "type": kind,
            "operation": self._operation,
            "message": f"{self._operation}: {self.done} of {self.total} {self._unit}",
            "done": self.done,
            "total": self.total,
            "done_bytes": self.done_bytes,
        }
        self._is_telling = True
        if not self._start(self._send(self._tell, report), f"progress of {self._operation}"):
            self._tell = None

    async def _send(self, tell: Tell, report: Mapping[str, Any]) -> None:
        try:
            async with asyncio.timeout(CALL_BACK_TIMEOUT_S):  # signs of life don't make it longer
                await tell(report)
        except (HyphaError, TimeoutError):
            self._tell = None
        finally:
            self._is_telling = False


@dataclass(frozen=True, slots=True)
class Reports:
    """Makes the progress of calls, for a feature."""

    services: ServicesPort
    tasks: TasksPort

    def of(self, callback: object, context: Context, operation: str, unit: str = "files") -> Progress:
        """The progress of one call.

        Args:
            callback: what its caller gave; None if it wants no reports.

        Raises:
            InvalidArguments: that is no function of the caller's own.
        """
        if callback is None:
            return Progress()
        if not self.services.is_callback(callback, context):
            raise InvalidArguments(
                "progress_callback is a function of the client that calls; by HTTP there is none."
            )

        async def tell(report: Mapping[str, Any]) -> None:
            await self.services.call_back(callback, [report], context=context)

        return Progress(tell, self.tasks.start, operation, unit)
