"""Entries of the audit log that are still counted on, bounded for each source and in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypha.store.audit import AuditRecord, Recount, Ring

MORE = {"more": True}
"""The detail of an entry that counts what was too much to be listed."""
Key = tuple[Any, ...]


@dataclass(slots=True, eq=False)
class Entry:
    """One entry; `number` is what the store calls it, None until it is written."""

    first: float
    last: float
    action: str
    user_id: str
    workspace: str
    address: str
    detail: Mapping[str, Any] | None
    count: int = 1
    number: int | None = None

    def record(self) -> AuditRecord:
        """The entry as it stands now."""
        names = self.action, self.user_id, self.workspace, self.address
        return AuditRecord(self.last, *names, self.detail, self.count, self.first)


@dataclass(frozen=True, slots=True)
class Quota:
    """How many entries are listed in a window: of one source, and in all. The rest is counted.

    Where half of all are taken, a source has `per_source_when_busy`.
    """

    per_source: int
    per_source_when_busy: int
    in_all: int


class Ledger:
    """The entries of one ring in the present window: what comes again is counted, not listed again.

    Args:
        repeats: equal events of the whole window are one entry; else only those of one batch.
    """

    def __init__(self, ring: Ring, quota: Quota, *, repeats: bool) -> None:
        self.ring = ring
        self._quota = quota
        self._repeats = repeats
        self._entries: dict[Key, Entry] = {}
        self._more: dict[Key, Entry] = {}
        self._changed: dict[Entry, None] = {}
        self._sources: Counter[str] = Counter()
        self.not_listed = 0

    def __len__(self) -> int:
        return len(self._entries) + len(self._more)

    def note(self, made: Entry, source: str) -> None:
        """Count an event of a source: on its entry, on a new one, or on one for all that is too much."""
        detail = tuple((made.detail or {}).items())
        key = (made.action, made.user_id, made.workspace, made.address, detail)
        known = self._entries.get(key)
        if known is None and self._has_room(source):
            self._sources[source] += 1
            self._entries[key] = known = made
        elif known is None:
            known = self._counted(made, source)
        if known is not made:
            known.count += 1
            known.last = made.last
        self._changed[known] = None

    def _has_room(self, source: str) -> bool:
        quota, listed = self._quota, len(self._entries if self._repeats else self._changed)
        most = quota.per_source if 2 * listed < quota.in_all else quota.per_source_when_busy
        return listed < quota.in_all and self._sources[source] < most

    def _counted(self, made: Entry, source: str) -> Entry:
        """The entry that counts what a source did beyond its quota, or all sources beyond theirs."""
        self.not_listed += 1
        key: Key = (made.action, source)
        if key not in self._more and len(self._more) >= self._quota.in_all:
            key = (made.action,)
            made.user_id = made.address = ""
        elif source != made.user_id:
            made.user_id = ""
        made.workspace, made.detail = "", MORE
        return self._more.setdefault(key, made)

    def take_changed(self) -> list[Entry]:
        """What is to be written; what changes from now on is to be written again."""
        changed, self._changed = list(self._changed), {}
        if not self._repeats:
            self._entries.clear()
        return changed

    def put_back(self, entries: list[Entry]) -> None:
        """They could not be written."""
        self._changed = {**dict.fromkeys(entries), **self._changed}

    def begin_window(self) -> None:
        """From now on everything makes new entries; quotas begin anew. What is not written yet will be."""
        self._entries.clear()
        self._more.clear()
        self._sources.clear()


def to_write(
    entries: list[tuple[Ring, Entry]],
) -> tuple[list[Entry], list[tuple[Ring, AuditRecord]], list[Recount]]:
    """The new ones, their records, and the new counts of those that are written already."""
    new = [(ring, entry) for ring, entry in entries if entry.number is None]
    again = [Recount(e.number, e.count, e.last) for _, e in entries if e.number is not None]
    return [entry for _, entry in new], [(ring, entry.record()) for ring, entry in new], again
