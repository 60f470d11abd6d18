"""Files of ended workspaces: deleted to the last one, however long that takes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from hypha.errors import HyphaError
from hypha.features.storage.expiries import Expiries
from hypha.features.storage.paths import ARTIFACTS
from hypha.features.storage.records import EndedRecords
from hypha.locks import NamedLocks
from hypha.objects.store import ObjectStore

logger = logging.getLogger(__name__)

AT_ONCE = 500


class EndedFolders:
    """Notes the folder of a workspace that ends, before the first file goes, until nothing is left in it.

    A storage may need minutes for what the end of a workspace waits for some seconds. What is left then is
    deleted by `run`, and before another workspace of the name sees its folder. Artifacts may be of that other
    one by then: their feature knows which are.

    Args:
        clock: Unix time in seconds. late_s: so long after the end files may still come, past the server.
    """

    def __init__(
        self,
        store: ObjectStore,
        records: EndedRecords,
        expiries: Expiries,
        clock: Callable[[], float] = time.time,
        late_s: float = 0.0,
    ) -> None:
        self._store = store
        self._records = records
        self._expiries = expiries
        self._clock = clock
        self._late_s = late_s
        self._locks = NamedLocks()
        self._running: asyncio.Task[object] | None = None
        self._is_closed = False

    async def ended(self, workspace: str) -> None:
        """Delete all files of a workspace, and forget when they were to end; nobody can make it meanwhile."""
        ended_at = self._clock()
        page = await self._store.list(f"{workspace}/", limit=1, recursive=False)
        is_noted = bool(page.objects or page.folders)
        if is_noted:
            await self._records.note(workspace, ended_at)
        async with self._locks.held(workspace):
            if await self._store.delete_folder(workspace) or is_noted:
                await self._expiries.forget(workspace, with_folder=True)
        if is_noted and not self._late_s:
            await self._records.forget(workspace, ended_at)

    async def expect_late(self, workspace: str) -> None:
        """A workspace that could give addresses away has ended: files may come though it had none."""
        if self._late_s:
            await self._records.note(workspace, self._clock())

    async def finish(self, workspace: str, late_s: float = 0.0) -> None:
        """See that nothing is left of an earlier workspace of the name that was noted at its end.

        Args:
            late_s: it stays noted until so long after its end; 0 for who takes the name, and writes there.
        """
        async with self._locks.held(workspace):
            ended_at = await self._records.noted(workspace)
            if ended_at is None:
                return
            await self._store.delete_folder(workspace, spare=ARTIFACTS)
            await self._expiries.forget(workspace, with_folder=True)
            if self._clock() >= ended_at + late_s:
                await self._records.forget(workspace, ended_at)

    async def sweep(self) -> None:
        """Go on with all that is noted; what fails is tried again the next time."""
        last = ""
        while some := await self._records.after(last, AT_ONCE):
            for workspace in some:
                try:
                    await self.finish(workspace, self._late_s)
                except HyphaError as error:
                    logger.warning("Files of the ended workspace %s stay for now: %s", workspace, error)
            last = some[-1]

    async def run(self, period_s: float) -> None:
        """Sweep now and every while, until closed."""
        if self._is_closed:
            return
        self._running = asyncio.current_task()
        while True:
            try:
                await self.sweep()
            except Exception:
                logger.exception("Could not delete files of ended workspaces; it is tried again")
            await asyncio.sleep(period_s)

    async def close(self) -> None:
        """End `run`: what it has not done stays noted."""
        self._is_closed = True
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait((self._running,))
