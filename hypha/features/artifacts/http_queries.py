"""What queries of requests for artifacts say, and which artifact an address names."""

from __future__ import annotations

from collections.abc import Mapping

from hypha.errors import InvalidRequest
from hypha.features.artifacts.ids import Reference, is_internal

_DIGITS = 12


def reference_of(path: Mapping[str, str]) -> Reference:
    """The artifact that an address names: by alias, or by internal id."""
    alias = path["alias"]
    return Reference(id=alias) if is_internal(alias) else Reference("", path["workspace"], alias)


def version_of(query: Mapping[str, str]) -> str | int | None:
    """The version that a query names: digits alone are an index."""
    text = query.get("version")
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= _DIGITS else text or None


def weight_of(query: Mapping[str, str]) -> float:
    """The download weight that a query gives to a file.

    Raises:
        InvalidRequest: it is no number.
    """
    try:
        return float(query.get("download_weight", "0")[:40])
    except ValueError:
        raise InvalidRequest("A download weight is a number of 0 or more.") from None
