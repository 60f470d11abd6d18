"""Sessions that are written down: a server that was killed leaves none running that nobody knows of."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from hypha.auth.users import Context, root_user
from hypha.errors import HyphaError
from hypha.features.apps.records import AppRecords, LeftSession
from hypha.features.apps.workers import STOP_TIMEOUT_S, TYPE

if TYPE_CHECKING:
    from hypha.features.apps.identity import Identities
    from hypha.features.apps.sessions import Session
    from hypha.features.apps.workers import Workers
    from hypha.features.ports import TasksPort
    from hypha.registry.records import ServiceRecord
    from hypha.workspaces.lifecycle import Workspaces

logger = logging.getLogger(__name__)

LEFT_FOR_S = 7 * 86400.0
"""So long it is waited for a worker to come back and stop what it runs of a server that was killed."""
MAX_LEFT = 10_000
"""Sessions of workers that are gone."""


class Ledger:
    """Writes sessions down before their programs start, and finds those of an earlier server."""

    def __init__(
        self,
        records: AppRecords,
        workspaces: Workspaces,
        identities: Identities,
        workers: Workers,
        tasks: TasksPort,
    ) -> None:
        self._records = records
        self._workspaces = workspaces
        self._identities = identities
        self._workers = workers
        self._tasks = tasks
        self._left: dict[str, list[LeftSession]] = {}
        """Sessions of an earlier server, by the id of the worker that may still run them."""

    async def begin(self, session: Session) -> None:
        """Write a session down.

        Raises:
            WorkspaceNotFound: it has ended. BackendUnavailable.
        """
        async with self._workspaces.changing(session.workspace, session.starter.user) as resident:
            await self._records.begin(resident.record, _row(session))

    def leave(self, session: Session) -> None:
        """A session's worker is gone; it may be back."""
        if sum(map(len, self._left.values())) >= MAX_LEFT:
            self._tasks.start(self._records.end(session.id), f"forgetting {session.id}")
            return
        self._left.setdefault(session.worker.id, []).append(_row(session))

    async def end(self, session_id: str) -> None:
        """A session and its program are no more."""
        await self._records.end(session_id)

    async def recover(self) -> None:
        """End what an earlier server has left: tokens at once, programs when their workers are there."""
        for left in await self._records.left():
            await self._identities.end(left.token_mark, left.token_until)
            if left.created_at < time.time() - LEFT_FOR_S:
                await self._records.end(left.id)
            else:
                self._left.setdefault(left.worker_id, []).append(left)

    def service_added(self, record: ServiceRecord) -> None:
        """A service was registered: it may be a worker that is back."""
        if record.type == TYPE and record.id in self._left:
            left = self._left.pop(record.id)
            if not self._tasks.start(self._stop(record, left), f"stopping what is left at {record.id}"):
                self._left[record.id] = left

    def look(self) -> None:
        """See whether workers are back that kept their services, for which nothing is registered."""
        for worker_id in list(self._left):
            record = self._workers.connected(worker_id)
            if record is not None:
                self.service_added(record)

    async def _stop(self, record: ServiceRecord, sessions: list[LeftSession]) -> None:
        for left in sessions:
            context = Context(root_user(), left.workspace)
            try:
                await self._workers.call(record, "stop", [left.id], context, STOP_TIMEOUT_S)
            except HyphaError as error:  # it knows nothing of it, as a rule
                logger.info("The worker %s did not stop %s: %s", record.id, left.id, error.message)
            await self._records.end(left.id)


def _row(session: Session) -> LeftSession:
    return LeftSession(
        session.id, session.workspace, session.app_id, session.worker.id, session.token_mark,
        session.token_until, session.created_at,
    )  # fmt: skip
