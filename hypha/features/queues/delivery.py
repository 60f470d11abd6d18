"""Handing tasks to those who wait for them, in the order in which both came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from hypha.auth.users import Context, User
from hypha.errors import FrameTooLarge, NotFound
from hypha.features.queues.records import KIND, Queues, Taken
from hypha.ids import random_id
from hypha.store.records import WorkspaceRecord
from hypha.store.usage import Allowance

if TYPE_CHECKING:
    from hypha.hub.client import Client

MAX_TASK_BYTES = 4 * 1024 * 1024
MAX_PEEK_BYTES = 16 * 1024 * 1024


class Clients(Protocol):
    """The hub, as far as it is asked who is still here."""

    def client(self, workspace: str, client_id: str) -> Client | None:
        """The client with this id, live or held."""


class Workspaces(Protocol):
    """Where the records of workspaces come from."""

    async def open(self, workspace: str, user: User) -> WorkspaceRecord:
        """The workspace in which a caller acts."""

    def allowance(self, record: WorkspaceRecord, kind: str) -> Allowance | None:
        """How much more of a kind may be kept in a workspace."""


class _Line:
    """Those who wait for one queue: the first holds the lock, the others stand behind it."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.pushed = asyncio.Event()
        self.users = 0


class Delivery:
    """Takes tasks in, keeps consumers waiting, and wakes the first of them; nothing polls.

    Args:
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        queues: Queues,
        workspaces: Workspaces,
        clients: Clients,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._queues = queues
        self._workspaces = workspaces
        self._clients = clients
        self._clock = clock
        self._lines: dict[tuple[str, str], _Line] = {}

    async def push(self, context: Context, queue: str, data: bytes) -> None:
        """Append a task, flushed to disk.

        Raises:
            FrameTooLarge: the task is larger than 4 MiB. QuotaExceeded: the workspace holds too much.
        """
        if len(data) > MAX_TASK_BYTES:
            raise FrameTooLarge(f"A task may have at most {MAX_TASK_BYTES} bytes; this has {len(data)}.")
        record = await self._workspaces.open(context.workspace, context.user)
        allowance = self._workspaces.allowance(record, KIND)
        await self._queues.push(record, queue, data, self._clock(), allowance)
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
            try:
                return await self._wait(context, key, line, lease_s, end)
            finally:
                line.turn.release()

    async def _wait(
        self, context: Context, key: tuple[str, str], line: _Line, lease_s: float | None, end: float
    ) -> tuple[Taken, str] | None:
        """Wait for a task as the first in line; a caller that has left takes none away."""
        loop = asyncio.get_running_loop()
        while not self._has_left(context):
            line.pushed.clear()
            taken = await self._take(key, lease_s)
            if taken is not None:
                return taken
            expiry = await self._queues.next_expiry(*key)
            until = end if expiry is None else min(end, loop.time() + max(0.01, expiry - self._clock()))
            try:
                async with asyncio.timeout_at(until):
                    await line.pushed.wait()
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

    def _has_left(self, context: Context) -> bool:
        """True for a connected caller that is gone; of HTTP callers it is not known."""
        if context.connection_type == "http" or not context.client_id:
            return False
        client = self._clients.client(context.workspace, context.client_id)
        return client is None or client.ended

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

    def _wake(self, workspace: str, queue: str) -> None:
        line = self._lines.get((workspace, queue))
        if line is not None:
            line.pushed.set()

    @asynccontextmanager
    async def _line(self, key: tuple[str, str]) -> AsyncIterator[_Line]:
        """The line of a queue, which exists while somebody stands in it."""
        line = self._lines.setdefault(key, _Line())
        line.users += 1
        try:
            yield line
        finally:
            line.users -= 1
            if not line.users:
                del self._lines[key]


def _no_lease(queue: str) -> NotFound:
    return NotFound(
        f"No task of queue {queue} is on lease with this receipt: it is done, or its lease ended."
    )
