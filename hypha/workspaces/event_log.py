"""What users did in a workspace, as they or the server logged it (core-api 2.2)."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from typing import Any

from hypha.auth.users import Context
from hypha.errors import InvalidRequest
from hypha.store import Store
from hypha.values import is_number
from hypha.workspaces.lifecycle import Workspaces
from hypha.workspaces.values import check_plain

MAX_TYPE_CHARS = 256
MAX_FOUND = 10_000


class EventLog:
    """Entries of the current workspace; everybody reads the own ones only."""

    def __init__(self, workspaces: Workspaces, store: Store) -> None:
        self._workspaces = workspaces
        self._store = store

    async def log(self, context: Context, event_type: object, data: Any = None) -> None:
        """Store one entry; it is on disk when this returns.

        Raises:
            InvalidRequest: `Event type must not contain spaces`, or data that is not plain.
            FrameTooLarge: data of more than 256 KiB.
        """
        name = _check_type(event_type)
        check_plain(data, "data")
        async with self._workspaces.changing(context.workspace, context.user) as resident:
            await self._store.events.add(resident.record, context.user.id, name, data, time.time())

    async def find(
        self, context: Context, event_type: object = None, start_time: object = None, end_time: object = None
    ) -> list[dict[str, Any]]:
        """The caller's newest entries, at most 10,000, oldest of them first."""
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
    if any(letter.isspace() for letter in event_type):
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
