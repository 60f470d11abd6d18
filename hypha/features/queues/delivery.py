"""Handing tasks to those who wait for them, in the order in which both came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from hypha.errors import FrameTooLarge, NotFound
from hypha.features.queues.records import KIND, Queues, Taken
from hypha.ids import random_id

if TYPE_CHECKING:
    from hypha.auth.users import Context
    from hypha.workspaces.lifecycle import Workspaces

MAX_TASK_BYTES = 4 * 1024 * 1024
MAX_PEEK_BYTES = 16 * 1024 * 1024


class _Line:
    """Those who wait for one queue: the first holds the lock, the others stand behind it."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.woken = asyncio.Event()
        """Set when the first is to look whether there is a task for it."""
        self.first = ""
        """The client id of the first."""
        self.users = 0
        """How many stand in it."""
        self.is_over = False
        """Its workspace has ended: nothing comes any more."""


class Delivery:
    """Takes tasks in, keeps consumers waiting, and wakes the first of them; nothing polls.

    Args:
        has_left: whether a caller is gone, as far as that is known.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        queues: Queues,
        workspaces: Workspaces,
        has_left: Callable[[Context], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._queues = queues
        self._workspaces = workspaces
        self._has_left = has_left
        self._clock = clock
        self._lines: dict[str, dict[str, _Line]] = {}
        """Lines by workspace and queue."""

    async def push(self, context: Context, queue: str, data: bytes) -> None:
        """Append a task, flushed to disk.

        Raises:
            FrameTooLarge: the task is larger than 4 MiB. QuotaExceeded: the workspace holds too much.
        """
        if len(data) > MAX_TASK_BYTES:
            raise FrameTooLarge(f"A task may have at most {MAX_TASK_BYTES} bytes; this has {len(data)}.")
        async with self._workspaces.changing(context.workspace, context.user) as resident:
            allowance = self._workspaces.allowance(resident.record, KIND)
            await self._queues.push(resident.record, queue, data, self._clock(), allowance)
        self._wake(context.workspace, queue)

    async def pop(
        self, context: Context, queue: str, timeout_s: float, lease_s: float | None
    ) -> tuple[Taken, str] | None:
        """The oldest task and its receipt; waits at most `timeout_s`, None then.

        Without a lease the task is gone when it is handed over; with one it comes back unless it
        is finished in time. Who asked first is served first.
        """
        key = (context.workspace, queue)
        if timeout_s <= 0:
            return await self._take(key, lease_s)
        end = asyncio.get_running_loop().time() + timeout_s
        async with self._line(key) as line:
            try:
                async with asyncio.timeout_at(end):
                    await line.turn.acquire()
            except TimeoutError:
                return None
            line.first = context.client_id or ""
            try:
                return await self._wait(context, key, line, lease_s, end)
            finally:
                line.turn.release()

    async def _wait(
        self, context: Context, key: tuple[str, str], line: _Line, lease_s: float | None, end: float
    ) -> tuple[Taken, str] | None:
        """Wait for a task as the first in line; a caller that has left takes none away."""
        loop = asyncio.get_running_loop()
        while not line.is_over and not self._has_left(context):
            line.woken.clear()
            taken = await self._take(key, lease_s)
            if taken is not None:
                return taken
            expiry = await self._queues.next_expiry(*key)
            until = end if expiry is None else min(end, loop.time() + max(0.01, expiry - self._clock()))
            try:
                async with asyncio.timeout_at(until):
                    await line.woken.wait()
            except TimeoutError:
                if loop.time() >= end:
                    return None
        return None

    async def _take(self, key: tuple[str, str], lease_s: float | None) -> tuple[Taken, str] | None:
        now, receipt = self._clock(), random_id(24)
        if lease_s is None:
            taken = await self._queues.take(*key, now)
        else:
            taken = await self._queues.take(*key, now, receipt, now + lease_s)
        return None if taken is None else (taken, receipt)

    async def finish(self, context: Context, queue: str, receipt: str) -> None:
        """A leased task is done: remove it.

        Raises:
            NotFound: the lease has passed to somebody else, or the task is done already.
        """
        if not await self._queues.finish(context.workspace, queue, receipt):
            raise _no_lease(queue)

    async def extend(self, context: Context, queue: str, receipt: str, lease_s: float) -> float:
        """Keep a leased task longer, or give it back with 0; the end of the lease in Unix seconds.

        Raises:
            NotFound: as for `finish`.
        """
        until = self._clock() + lease_s if lease_s > 0 else 0.0
        if not await self._queues.extend(context.workspace, queue, receipt, until):
            raise _no_lease(queue)
        self._wake(context.workspace, queue)
        return until

    async def peek(self, context: Context, queue: str, limit: int) -> list[bytes]:
        """The next tasks, which stay where they are; fewer than `limit` if they are large."""
        return await self._queues.peek(context.workspace, queue, self._clock(), limit, MAX_PEEK_BYTES)

    async def length(self, context: Context, queue: str) -> int:
        """Number of tasks that wait."""
        return await self._queues.length(context.workspace, queue, self._clock())

    async def workspace_ended(self, workspace: str) -> None:
        """Let nobody wait for the queues of a workspace that is gone."""
        for line in self._lines.pop(workspace, {}).values():
            line.is_over = True
            line.woken.set()

    def client_ended(self, workspace: str, client_id: str) -> None:
        """Let the next in line stand where a client that has left stood first."""
        for line in self._lines.get(workspace, {}).values():
            if line.first == client_id:
                line.woken.set()

    def _wake(self, workspace: str, queue: str) -> None:
        line = self._lines.get(workspace, {}).get(queue)
        if line is not None:
            line.woken.set()

    @asynccontextmanager
    async def _line(self, key: tuple[str, str]) -> AsyncIterator[_Line]:
        """The line of a queue, which exists while somebody stands in it."""
        workspace, queue = key
        lines = self._lines.setdefault(workspace, {})
        line = lines.setdefault(queue, _Line())
        line.users += 1
        try:
            yield line
        finally:
            line.users -= 1
            if not line.users:
                del lines[queue]
            if not lines and self._lines.get(workspace) is lines:
                del self._lines[workspace]


def _no_lease(queue: str) -> NotFound:
    return NotFound(
        f"No task of queue {queue} is on lease with this receipt: it is done, or its lease ended."
    )
