"""A service of queues over a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hypha.auth.users import Context, User, root_user
from hypha.features.queues.delivery import Delivery
from hypha.features.queues.records import Queues
from hypha.features.queues.service import QueueService
from hypha.store import Store
from hypha.store.records import WorkspaceRecord
from hypha.store.usage import Allowance, Quota
from hypha.workspaces.residents import Resident


class WatchedQueues(Queues):
    """Sets `looked` when a consumer has found nothing and is about to wait."""

    looked: asyncio.Event

    async def next_expiry(self, workspace: str, queue: str) -> float | None:
        expiry = await super().next_expiry(workspace, queue)
        self.looked.set()
        return expiry


class Lab:
    """A service over a store in memory; `now` is its clock, `present` says who is connected."""

    def __init__(self, store: Store) -> None:
        self.now = 1000.0
        self.quota = Quota(1000, 10**9, "tasks", "")
        self.present = {"w-1/one", "w-1/two", "w-2/one"}
        self.queues = WatchedQueues(store, store.usage)
        self.queues.looked = asyncio.Event()
        self.delivery = Delivery(self.queues, self, self.has_left, lambda: self.now)
        self.service = QueueService(self.delivery)

    @asynccontextmanager
    async def changing(self, workspace: str, user: User) -> AsyncIterator[Resident]:
        yield Resident(WorkspaceRecord(workspace, workspace))

    def allowance(self, record: WorkspaceRecord, kind: str) -> Allowance:
        return Allowance(self.quota, 0, 0)

    def has_left(self, context: Context) -> bool:
        return context.address not in self.present

    def standing(self, workspace: str) -> int:
        """How many stand in the lines of a workspace."""
        return sum(line.users for line in self.delivery._lines.get(workspace, {}).values())

    async def consumer(self, client_id: str = "one", workspace: str = "w-1") -> asyncio.Task[Any]:
        """A call of `pop` that waits: first in the line, with nothing there for it, or behind others."""
        before = self.standing(workspace)
        self.queues.looked.clear()
        waiting = asyncio.create_task(self.service.pop("jobs", 5, context=caller(workspace, client_id)))
        await asyncio.sleep(0)  # its first step
        assert self.standing(workspace) == before + 1
        if not before:
            await self.queues.looked.wait()
        return waiting


def caller(workspace: str = "w-1", client_id: str = "one") -> Context:
    return Context(root_user(workspace), workspace, client_id)
