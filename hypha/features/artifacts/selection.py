"""Which fields of artifacts a list shows, where its collection says so (`config.list_fields`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypha.errors import InvalidRequest

ALWAYS = ("id", "alias")
FIELDS = frozenset(
    "_id type workspace parent_id manifest config staging download_count view_count file_count created_at "
    "last_modified created_by versions _permissions id alias".split()
)


def check_list_fields(value: object) -> None:
    """Refuse what is no list of fields.

    Raises:
        InvalidRequest: it names what artifacts don't show, such as `secrets`.
    """
    if value is None:
        return
    names = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(name, str) and name in FIELDS for name in names):
        raise InvalidRequest(f"config.list_fields is a list of fields: {', '.join(sorted(FIELDS))}.")


def list_fields(config: Mapping[str, Any]) -> Sequence[str] | None:
    """The fields that lists of a collection show; None for all."""
    value = config.get("list_fields")
    return value if isinstance(value, list) and value else None


def selected(item: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """An artifact with those fields alone, its id and its alias."""
    return {name: item[name] for name in dict.fromkeys((*ALWAYS, *fields)) if name in item}
