"""Logs of sessions: whatever shape a worker gives them, callers get one page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hypha.errors import InvalidRequest
from hypha.values import is_whole

MAX_ITEMS = 10_000
MAX_PAGE_CHARS = 2 * 1024 * 1024
MAX_TYPE_CHARS = 64
TOLD_CHARS = 8_000
"""Of the log of a start that failed."""


def check_page(offset: object, limit: object, kind: object) -> tuple[int, int | None, str | None]:
    """What a caller asks for.

    Raises:
        InvalidRequest: it is none.
    """
    if not is_whole(offset) or offset < 0:
        raise InvalidRequest("offset must be a whole number of 0 or more.")
    if limit is not None and (not is_whole(limit) or not 0 < limit <= MAX_ITEMS):
        raise InvalidRequest(f"limit must be a whole number from 1 to {MAX_ITEMS}, or left out.")
    if kind is not None and (not isinstance(kind, str) or len(kind) > MAX_TYPE_CHARS):
        raise InvalidRequest(f"type is a text of up to {MAX_TYPE_CHARS} characters, such as 'stdout'.")
    return offset, limit, kind


def page_of(answer: object, kind: str | None, offset: int, limit: int | None) -> dict[str, Any]:
    """The page that a worker's answer means, cut to what one answer may hold.

    A worker that knows pages has cut it out already; a dict of lists by type, and a plain list, are the
    whole log. A text is what was asked for, such as what a screen shows.
    """
    if isinstance(answer, Mapping) and isinstance(answer.get("items"), list):
        items = [_item(each) for each in answer["items"][:MAX_ITEMS]]
        total = answer.get("total")
        whole = total if is_whole(total) and total >= 0 else len(items)
        return {"items": _bounded(items), "total": whole, "offset": offset, "limit": limit}
    usual = kind if kind is not None and isinstance(answer, str) else "log"
    items = [item for item in _items_of(answer, usual) if kind in (None, item["type"])]
    end = None if limit is None else offset + limit
    return {"items": _bounded(items[offset:end]), "total": len(items), "offset": offset, "limit": limit}


def text_of(page: Mapping[str, Any]) -> str:
    """The last of a log, for people."""
    text = "\n".join(item["content"].rstrip() for item in page["items"] if item["content"].strip())
    return text[-TOLD_CHARS:]


def _items_of(answer: object, usual: str) -> Iterator[dict[str, str]]:
    if isinstance(answer, Mapping):
        pairs = [(str(key), value if isinstance(value, list) else [value]) for key, value in answer.items()]
    else:
        pairs = [(usual, answer if isinstance(answer, list) else [] if answer is None else [answer])]
    count = 0
    for key, values in pairs:
        for value in values:
            if count == MAX_ITEMS:
                return
            count += 1
            yield _item(value, key)


def _item(value: object, kind: str = "log") -> dict[str, str]:
    if isinstance(value, Mapping):
        kind = value["type"] if isinstance(value.get("type"), str) else kind
        value = value.get("content", "")
    text = value if isinstance(value, str) else "" if value is None else str(value)[:MAX_PAGE_CHARS]
    return {"type": kind[:MAX_TYPE_CHARS], "content": text}


def _bounded(items: list[dict[str, str]]) -> list[dict[str, str]]:
    """As many as fit; of the one that doesn't, the end, where the latest is."""
    room, kept = MAX_PAGE_CHARS, []
    for item in items:
        if room <= 0:
            break
        content = item["content"][-room:]
        room -= len(content) + len(item["type"]) + 32
        kept.append({**item, "content": content})
    return kept
