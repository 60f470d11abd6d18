"""The audit log: who signed in, what was minted and revoked, who was refused, what admins did.

Noting an event is a few dict accesses; rows are written in batches by a task of their own. Refusals that
come again within an hour are counted on one row, and each source has a quota of rows, so that nobody who
knocks at closed doors all day fills the disk or displaces anything: refusals and the rest are kept apart.
Nothing secret is ever noted: no token, no password, no value of a user.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from hypha.auth.ledger import Entry, Ledger, Quota, to_write
from hypha.errors import BackendUnavailable
from hypha.networks import throttled
from hypha.store.audit import AuditQuery, AuditRecord, Recount, Ring

logger = logging.getLogger(__name__)

FLUSH_EVERY_S = 0.5
TRIM_EVERY_S = 600.0
WINDOW_S = 3600.0
MAX_TEXT_CHARS = 300
REFUSALS = frozenset({"access_refused", "sign_in_refused"})
ACTS_QUOTA = Quota(1000, 200, 5_000)
REFUSALS_QUOTA = Quota(50, 5, 5_000)
STRANGERS_QUOTA = Quota(50, 5, 2_000)
REFUSALS_SHARE = 4
STRANGERS_SHARE = 10
"""For one refusal, or one of a stranger, so many acts are kept."""


class AuditStore(Protocol):
    """What is needed of the store."""

    async def write(
        self, entries: Sequence[tuple[Ring, AuditRecord]], again: Sequence[Recount] = ()
    ) -> list[int]:
        """Write new entries and new counts of known ones; the numbers of the new ones."""

    async def find(self, query: AuditQuery, offset: int, limit: int) -> list[AuditRecord]:
        """Entries that match, newest first."""

    async def trim(self, before: float, keep: Mapping[Ring, int]) -> None:
        """Forget the oldest."""


class AuditLog:
    """Security events on their way to the store.

    Args:
        keep_s, keep_entries: entries that are older, or above this number, are forgotten; of refusals a
            quarter of it is kept, of those of strangers a tenth.
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
        self._keep = {
            Ring.ACTS: max(1, keep_entries),
            Ring.REFUSALS: max(1, keep_entries // REFUSALS_SHARE),
            Ring.STRANGERS: max(1, keep_entries // STRANGERS_SHARE),
        }
        self._clock = clock
        self._ledgers = {
            Ring.ACTS: Ledger(Ring.ACTS, ACTS_QUOTA, repeats=False),
            Ring.REFUSALS: Ledger(Ring.REFUSALS, REFUSALS_QUOTA, repeats=True),
            Ring.STRANGERS: Ledger(Ring.STRANGERS, STRANGERS_QUOTA, repeats=True),
        }
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._trimmed_at = 0.0
        self._window_began = -math.inf

    @property
    def not_listed(self) -> int:
        """How many events were beyond the quota of their source, and are only counted."""
        return sum(ledger.not_listed for ledger in self._ledgers.values())

    def note(
        self,
        action: str,
        user_id: str = "",
        workspace: str = "",
        *,
        address: str = "",
        detail: Mapping[str, Any] | None = None,
        is_stranger: bool = False,
    ) -> None:
        """Remember one event; it is written within a second. Never waits, never fails.

        `is_stranger`: somebody did it who showed no credential, and whose user id is therefore nobody's.
        Such people are told apart by their addresses.
        """
        if self._store is None:
            return
        now = self._clock()
        self._begin_window_if_due(now)
        plain = {name: _plain(value) for name, value in (detail or {}).items()}
        names = action[:64], user_id[:320], workspace[:128], address[:64]
        ledger = self._ledgers[_ring(action, is_stranger=is_stranger)]
        source = throttled(address) if is_stranger or not user_id else user_id
        ledger.note(Entry(now, now, *names, plain or None), source)
        self._wake.set()

    async def find(self, query: AuditQuery, offset: int = 0, limit: int = 100) -> list[AuditRecord]:
        """Entries that match, newest first; those just noted included."""
        if self._store is None:
            return []
        await self.flush()
        return await self._store.find(query, offset, limit)

    async def flush(self) -> None:
        """Write what waits; on a fault of the database it is kept for the next time."""
        if self._store is None:
            return
        async with self._writing:
            taken = {ring: ledger.take_changed() for ring, ledger in self._ledgers.items()}
            entries = [(ring, entry) for ring, changed in taken.items() for entry in changed]
            if not entries:
                return
            new, records, again = to_write(entries)
            try:
                numbers = await self._store.write(records, again)
            except BaseException:
                for ring, changed in taken.items():
                    self._ledgers[ring].put_back(changed)
                raise
            for entry, number in zip(new, numbers, strict=True):
                entry.number = number

    def _begin_window_if_due(self, now: float) -> None:
        if now - self._window_began < WINDOW_S:
            return
        self._window_began = now
        for ledger in self._ledgers.values():
            ledger.begin_window()

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
            await self._store.trim(now - self._keep_s, self._keep)


def _ring(action: str, *, is_stranger: bool) -> Ring:
    if action not in REFUSALS:
        return Ring.ACTS
    return Ring.STRANGERS if is_stranger else Ring.REFUSALS


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else str(value)[:MAX_TEXT_CHARS]
