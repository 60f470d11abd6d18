"""Logs of a session: lines with a type, bounded in memory, given out in pages."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

UNTYPED = "log"
"""The type of lines that a worker gave none."""


class LogItem(TypedDict):
    """One entry of a log."""

    type: str
    content: str


class LogPage(TypedDict):
    """A part of a log; `total` counts all entries of the asked type."""

    items: list[LogItem]
    total: int
    offset: int
    limit: int | None


class SessionLog:
    """The newest entries of a session; the oldest go when it would take more than `most_chars`.

    One entry counts its characters and 100 more, so that empty ones are bounded too.
    """

    _ENTRY_CHARS = 100

    def __init__(self, most_chars: int = 1_000_000) -> None:
        self._items: deque[LogItem] = deque()
        self._most_chars = most_chars
        self._chars = 0
        self.dropped = 0
        """How many entries have gone."""

    def add(self, kind: str, content: str) -> None:
        """Append an entry; of a longer one than fits only the end is kept."""
        content = content[-(self._most_chars - self._ENTRY_CHARS) :]
        self._items.append(LogItem(type=kind, content=content))
        self._chars += len(content) + self._ENTRY_CHARS
        while self._chars > self._most_chars:
            self._chars -= len(self._items.popleft()["content"]) + self._ENTRY_CHARS
            self.dropped += 1

    def page(self, kind: str | None = None, offset: int = 0, limit: int | None = None) -> LogPage:
        """The entries of a type, or all; `limit` None means the rest."""
        return page_of(self._items, kind, offset, limit)

    def last(self, count: int, *kinds: str) -> str:
        """The last entries of these types (of all, without any), one a line."""
        chosen = [item["content"] for item in self._items if not kinds or item["type"] in kinds]
        return "\n".join(line.rstrip("\n") for line in chosen[-count:])


def page_of(
    items: Iterable[LogItem], kind: str | None = None, offset: int = 0, limit: int | None = None
) -> LogPage:
    """Choose by type, count, then cut the page out.

    Raises:
        ValueError: `offset` or `limit` is negative.
    """
    if offset < 0 or (limit is not None and limit < 0):
        raise ValueError("offset and limit of a log must not be negative.")
    chosen = [item for item in items if kind is None or item["type"] == kind]
    end = None if limit is None else offset + limit
    return LogPage(items=chosen[offset:end], total=len(chosen), offset=offset, limit=limit)


def items_of(answer: object) -> list[LogItem]:
    """Entries of what a worker answered: a page, a dict of lists by type, a list, or one text.

    Entries of a list may be dicts with `type` and `content`, or are taken as text of the type `log`.
    """
    if answer is None:
        return []
    if isinstance(answer, Mapping):
        if isinstance(items := answer.get("items"), list):
            return items_of(items)
        return [_item(entry, str(kind)) for kind, lines in answer.items() for entry in _listed(lines)]
    return [_item(entry, UNTYPED) for entry in _listed(answer)]


def _listed(lines: object) -> list[Any]:
    if lines is None:
        return []
    return list(lines) if isinstance(lines, list | tuple) else [lines]


def _item(entry: object, kind: str) -> LogItem:
    if isinstance(entry, Mapping) and "content" in entry:
        return LogItem(type=str(entry.get("type") or kind), content=str(entry["content"]))
    return LogItem(type=kind, content=str(entry))
