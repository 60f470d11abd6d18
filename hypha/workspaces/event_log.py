"""What users did in a workspace, as they or the server logged it (docs/spec/manager.md#settings)."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from hypha.auth.users import Context
from hypha.errors import BackendUnavailable, InvalidRequest, LimitReached, RateLimited
from hypha.limits import Buckets
from hypha.settings.quotas import Quotas
from hypha.store import Store
from hypha.store.usage import Kind
from hypha.values import is_number
from hypha.workspaces.lifecycle import Workspaces
from hypha.workspaces.values import MAX_VALUE_BYTES, encode_plain, plain

logger = logging.getLogger(__name__)

MAX_TYPE_CHARS = 256
MAX_FOUND = 10_000
BURST_S = 10.0
"""So many seconds' worth of the rates may come at once."""
FORGET_EVERY_S = 3600.0


@dataclass(frozen=True, slots=True)
class EventRates:
    """How fast one user may log: entries and bytes per second."""

    entries: Buckets
    volume: Buckets

    @classmethod
    def of(cls, entries_per_s: float, bytes_per_s: float) -> Self:
        """With ten seconds' worth at once, and any single entry; 0: no limit."""
        volume = Buckets(bytes_per_s, max(bytes_per_s * BURST_S, MAX_VALUE_BYTES))
        return cls(Buckets(entries_per_s, entries_per_s * BURST_S), volume)

    @classmethod
    def from_settings(cls, settings: Quotas) -> Self:
        """What the operator has set."""
        return cls.of(settings.event_rate_limit, settings.event_byte_rate_limit)

    def spend(self, user_id: str, size: int) -> None:
        """Count an entry.

        Raises:
            RateLimited: there were too many, or too large ones.
        """
        wait_s = self.entries.take(user_id) or self.volume.take(user_id, max(1, size))
        if wait_s:
            raise RateLimited(
                "Too many entries for the event log: write them more slowly.", retry_after_s=wait_s
            )


class EventLog:
    """Entries of the current workspace; everybody reads the own ones only."""

    def __init__(self, workspaces: Workspaces, store: Store, rates: EventRates | None = None) -> None:
        self._workspaces = workspaces
        self._store = store
        self._rates = rates or EventRates.of(0.0, 0.0)

    async def log(self, context: Context, event_type: object, data: Any = None) -> None:
        """Store one entry; it is on disk when this returns.

        Raises:
            InvalidRequest: `Event type must not contain spaces`, or data that is not plain.
            FrameTooLarge: data of more than 256 KiB.
            RateLimited: the user logs too fast. QuotaExceeded: the workspace's log is full.
        """
        name = _check_type(event_type)
        data = plain(data, "data")
        size = len(encode_plain(data, "data"))
        self._rates.spend(context.user.id, size)
        async with self._workspaces.changing(context.workspace, context.user) as resident:
            record = resident.record
            allowance = self._workspaces.allowance(record, Kind.EVENTS)
            await self._store.events.add(record, context.user.id, name, data, time.time(), allowance)

    async def note(self, context: Context, event_type: str, data: Any) -> None:
        """Store an entry of the server's own, where there is room: what it tells of has happened already."""
        try:
            await self.log(context, event_type, data)
        except LimitReached as error:
            logger.info("Not in the event log of %s: %s, %s", context.workspace, event_type, error.message)

    async def find(
        self, context: Context, event_type: object = None, start_time: object = None, end_time: object = None
    ) -> list[dict[str, Any]]:
        """The caller's newest entries, at most 10,000 and 16 MiB, oldest of them first."""
        wanted = None if event_type is None else _check_type(event_type)
        window = _moment(start_time, "start_time"), _moment(end_time, "end_time")
        found = await self._store.events.find(context.workspace, context.user.id, wanted, *window, MAX_FOUND)
        return [
            {
                "id": event.id,
                "event_type": event.event_type,
                "workspace": event.workspace,
                "user_id": event.user_id,
                "timestamp": datetime.fromtimestamp(event.timestamp, UTC).replace(tzinfo=None).isoformat(),
                "data": event.data,
            }
            for event in found
        ]

    async def forget_old(self, retention_s: float) -> None:
        """Forget entries that are older, again and again, until cancelled."""
        while True:
            try:
                while await self._store.events.forget(time.time() - retention_s):
                    pass
            except BackendUnavailable as error:
                logger.warning("Old events stay for now: %s", error.message)
            await asyncio.sleep(min(FORGET_EVERY_S, max(1.0, retention_s / 4)))

    async def count(
        self, context: Context, event_type: object = None, start_time: object = None, end_time: object = None
    ) -> list[dict[str, Any]]:
        """How many entries of each type the caller has."""
        wanted = None if event_type is None else _check_type(event_type)
        window = _moment(start_time, "start_time"), _moment(end_time, "end_time")
        found = await self._store.events.count(context.workspace, context.user.id, wanted, *window)
        return [{"event_type": name, "count": count} for name, count in found]


def _check_type(event_type: object) -> str:
    if not isinstance(event_type, str) or not event_type:
        raise InvalidRequest("Event type must be a non-empty string.")
    if any(letter.isspace() for letter in event_type[: MAX_TYPE_CHARS + 1]):
        raise InvalidRequest("Event type must not contain spaces")
    if len(event_type) > MAX_TYPE_CHARS or not event_type.isprintable():
        raise InvalidRequest(
            f"Event type must have at most {MAX_TYPE_CHARS} characters, all of them printable."
        )
    return event_type


def _moment(value: object, name: str) -> float | None:
    """Unix time of a datetime, ISO text or number; a time without zone is UTC."""
    if value is None:
        return None
    if is_number(value) and math.isfinite(value):
        return float(value)
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, datetime):
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        pass
    raise InvalidRequest(f"'{name}' must be a time such as 2026-01-31T12:00:00.")
