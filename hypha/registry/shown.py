"""Service infos as listings give them: whole while they are small, else in brief.

Nobody's large descriptions make a listing large for the others: its size is bounded, and who wants the
whole text asks for one service (`get_service_info`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypha.registry.records import ServiceRecord

WHOLE_BYTES = 16 * 1024
"""A larger info is given in brief."""
LISTING_BYTES = 4 * 1024 * 1024
"""Of all infos of one answer."""
MAX_LISTED = 10_000
BRIEF_CHARS = 128
NAMES_FROM_BYTES = 4 * 1024
MAX_NAMES = 30
_CONFIG = ("visibility", "require_context", "workspace", "singleton", "created_by")


def shown(records: Sequence[ServiceRecord], is_member: Callable[[str], bool]) -> list[dict[str, Any]]:
    """The infos of one answer, as many as `MAX_LISTED` and `LISTING_BYTES` allow.

    When all of them would be too much, those above an equal share are given in brief: without docs
    and schemas, and with `truncated`. `is_member` says whether the viewer may read a workspace.
    """
    records = records[:MAX_LISTED]
    whole = sum(min(record.size_bytes, WHOLE_BYTES) for record in records)
    share = WHOLE_BYTES if whole <= LISTING_BYTES else LISTING_BYTES // len(records)
    infos: list[dict[str, Any]] = []
    left = LISTING_BYTES
    for record in records:
        if record.size_bytes <= share:
            info, size = record.info(is_member(record.workspace)), record.size_bytes
        else:
            info = brief(record, is_member(record.workspace), with_names=share >= NAMES_FROM_BYTES)
            size = _brief_size(info)
        left -= size
        if left < 0:
            break
        infos.append(info)
    return infos


def brief(record: ServiceRecord, is_member: bool, *, with_names: bool = True) -> dict[str, Any]:
    """An info without what may be large; of its functions the names, or nothing."""
    info = record.info(is_member)
    config = info["config"]
    names = list(record.service_schema)[:MAX_NAMES] if with_names else []
    return {
        **info,
        "name": _cut(info["name"]),
        "description": _cut(info["description"]),
        "docs": None,
        "config": {key: config[key] for key in _CONFIG if key in config and _is_small(config[key])},
        "service_schema": {
            name: {"type": "function", "function": {"name": name}} for name in names if _is_small(name)
        },
        "truncated": True,
    }


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= BRIEF_CHARS else text[: BRIEF_CHARS - 1] + "…"


def _is_small(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_small(part) for part in value.values())
    return not isinstance(value, str | bytes | list | tuple) or len(value) <= 2 * BRIEF_CHARS


def _brief_size(info: dict[str, Any]) -> int:
    """About how many bytes a brief info takes."""
    texts = info["id"], info["name"], info["type"], info["description"] or "", info["app_id"]
    names = list(info["service_schema"])
    return 200 + sum(_bytes(text) for text in texts) + sum(2 * _bytes(name) + 50 for name in names)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
