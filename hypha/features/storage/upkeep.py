"""What is cleaned up: files whose time is over, uploads that nobody completed, those of ended workspaces."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from hypha.errors import UploadNotFound
from hypha.features.storage.expiries import Expiries
from hypha.features.storage.files import GRACE_S, MAX_URL_LIFE_S
from hypha.features.storage.records import UploadRecords
from hypha.objects.store import ObjectStore

logger = logging.getLogger(__name__)

AT_ONCE = 500
FORGOTTEN_AFTER_S = MAX_URL_LIFE_S + GRACE_S + 3600
"""No upload lives longer, whoever began it."""


class Upkeep:
    """Cleans up every `period_s` seconds, and when a workspace ends."""

    def __init__(
        self,
        store: ObjectStore,
        uploads: UploadRecords,
        expiries: Expiries,
        period_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._uploads = uploads
        self._expiries = expiries
        self._period_s = period_s
        self._clock = clock
        self._turn = asyncio.Lock()
        self._is_over = False

    async def run(self) -> None:
        """Clean up now and every while, until it is stopped."""
        while not self._is_over:
            async with self._turn:
                try:
                    await self.sweep()
                except Exception:
                    logger.exception("Could not clean up files; it is tried again")
            await asyncio.sleep(self._period_s)

    async def stop(self) -> None:
        """Begin nothing any more, and let what has begun end, before the database goes."""
        self._is_over = True
        async with self._turn:
            return

    async def sweep(self) -> None:
        """Delete files and uploads whose time is over."""
        if self._is_over:
            return
        await self._expiries.sweep()
        now = self._clock()
        while over := await self._uploads.expired(now, AT_ONCE):
            for upload in over:
                await self._abort(upload.key, upload.id)
            await self._uploads.remove([upload.id for upload in over])
        for key, upload_id in await self._store.uploads_before(now - FORGOTTEN_AFTER_S):
            await self._abort(key, upload_id)

    async def workspace_ended(self, workspace: str) -> None:
        """Forget what was begun in a workspace that could begin something: it had a row in the database."""
        await self._expiries.forget(workspace, with_folder=True)
        for key, upload_id in await self._store.uploads_before(self._clock() + 1, f"{workspace}/"):
            await self._abort(key, upload_id)

    async def _abort(self, key: str, upload_id: str) -> None:
        try:
            await self._store.abort(key, upload_id)
        except UploadNotFound:
            logger.debug("The upload %s was over already", upload_id)
