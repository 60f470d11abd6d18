"""The audit log: who signed in, what was minted and revoked, who was refused, what admins did.

Noting an event is one dict access; rows are written in batches by a task of their own. Equal events
within a batch become one row with a count, so that somebody who knocks at a closed door all day
doesn't fill the disk. Nothing secret is ever noted: no token, no password, no value of a user.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from hypha.errors import BackendUnavailable
from hypha.store.audit import AuditQuery, AuditRecord

logger = logging.getLogger(__name__)

MAX_WAITING = 5_000
FLUSH_EVERY_S = 0.5
TRIM_EVERY_S = 600.0
MAX_TEXT_CHARS = 300


class AuditStore(Protocol):
    """What is needed of the store."""

    async def add(self, entries: list[AuditRecord]) -> None:
        """Write several entries."""

    async def find(self, query: AuditQuery, offset: int, limit: int) -> list[AuditRecord]:
        """Entries that match, newest first."""

    async def trim(self, before: float, keep: int) -> None:
        """Forget the oldest."""


class AuditLog:
    """Security events on their way to the store.

    Args:
        keep_s, keep_entries: entries that are older, or above this number, are forgotten.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        store: AuditStore | None = None,
        *,
        keep_s: float = 90 * 86400.0,
        keep_entries: int = 200_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._keep_s = keep_s
        self._keep_entries = keep_entries
        self._clock = clock
        self._waiting: dict[tuple[Any, ...], AuditRecord] = {}
        self._wake = asyncio.Event()
        self._trimmed_at = 0.0
        self.dropped = 0

    def note(
        self,
        action: str,
        user_id: str = "",
        workspace: str = "",
        *,
        address: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Remember one event; it is written within a second. Never waits, never fails."""
        if self._store is None:
            return
        plain = {name: _plain(value) for name, value in (detail or {}).items()}
        key = (action, user_id, workspace, address, tuple(plain.items()))
        known = self._waiting.get(key)
        if known is not None:
            self._waiting[key] = replace(known, count=known.count + 1)
        elif len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
        else:
            self._waiting[key] = AuditRecord(
                self._clock(), action[:64], user_id[:320], workspace[:128], address[:64], plain or None
            )
            self._wake.set()

    async def find(self, query: AuditQuery, offset: int = 0, limit: int = 100) -> list[AuditRecord]:
        """Entries that match, newest first; those just noted included."""
        if self._store is None:
            return []
        await self.flush()
        return await self._store.find(query, offset, limit)

    async def flush(self) -> None:
        """Write what waits; on a fault of the database it is kept for the next time."""
        if self._store is None or not self._waiting:
            return
        waiting, self._waiting = self._waiting, {}
        try:
            await self._store.add(list(waiting.values()))
        except BackendUnavailable:
            room = MAX_WAITING - len(self._waiting)
            self._waiting = {**dict(list(waiting.items())[:room]), **self._waiting}
            raise

    async def run(self) -> None:
        """Write batches until cancelled."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(FLUSH_EVERY_S)
            self._wake.clear()
            try:
                await self.flush()
                await self._trim()
            except BackendUnavailable as error:
                logger.warning("The audit log waits: %s", error.message)
                self._wake.set()

    async def _trim(self) -> None:
        now = self._clock()
        if self._store is not None and now - self._trimmed_at > TRIM_EVERY_S:
            self._trimmed_at = now
            await self._store.trim(now - self._keep_s, self._keep_entries)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else str(value)[:MAX_TEXT_CHARS]
