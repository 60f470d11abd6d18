"""Objects that end some time after they were written.

The object itself says how long it is kept, in its metadata: whoever writes another one in its place makes
that one stay. The database only knows when to look.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from hypha.errors import InvalidRequest, ObjectNotFound
from hypha.features.storage.records import ExpiryRecords
from hypha.objects.store import ObjectInfo, ObjectStore
from hypha.values import is_number

TTL = "hypha-ttl"
"""In the metadata of an object: for how many seconds it is kept."""
MAX_TTL_S = 100 * 365 * 86400.0
AT_ONCE = 500


class Expiries:
    """Notes objects with an end, and deletes those that have come to it.

    Args:
        clock: Unix time in seconds.
    """

    def __init__(
        self, store: ObjectStore, records: ExpiryRecords, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._records = records
        self._clock = clock

    async def note(self, key: str, ttl: float | None) -> Mapping[str, str]:
        """What goes into the metadata of an object that is about to be written; first the end is noted."""
        if ttl is None:
            return {}
        await self._records.set(key, self._clock() + ttl)
        return metadata_of(ttl)

    async def completed(self, info: ObjectInfo) -> None:
        """Note the end of an object that was written with such metadata."""
        if (end := _end_of(info)) is not None:
            await self._records.set(info.key, end)

    async def forget(self, key: str, *, with_folder: bool = False) -> None:
        """An object is deleted, or a folder with all below it."""
        await self._records.remove(key, with_folder=with_folder)

    async def sweep(self) -> int:
        """Delete what has come to its end; returns how much."""
        gone = 0
        while due := await self._records.due(self._clock(), AT_ONCE):
            for key in due:
                gone += await self._look(key)
        return gone

    async def _look(self, key: str) -> int:
        try:
            end = _end_of(await self._store.head(key))
        except ObjectNotFound:
            end = None
        if end is not None and end > self._clock():
            await self._records.set(key, end)  # written again since
            return 0
        gone = end is not None and await self._store.delete(key)
        await self._records.remove(key)
        return int(gone)


def metadata_of(ttl: float | None) -> Mapping[str, str]:
    """What the metadata of an object says that is kept for so long."""
    return {} if ttl is None else {TTL: str(ttl)}


def checked_ttl(ttl: object) -> float | None:
    """How long an object is to be kept, in seconds; None for ever.

    Raises:
        InvalidRequest: it is no time.
    """
    if ttl is None:
        return None
    if not is_number(ttl) or not 0 < ttl <= MAX_TTL_S:
        raise InvalidRequest("ttl is a number of seconds above 0, or null for files that stay.")
    return float(ttl)


def _end_of(info: ObjectInfo) -> float | None:
    try:
        ttl = float(info.metadata.get(TTL, ""))
    except ValueError:
        return None
    return info.modified + ttl if math.isfinite(ttl) else None
