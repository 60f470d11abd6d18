"""`search_services`: text search over the services that the caller may see."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypha.auth.users import Context
from hypha.errors import InvalidRequest
from hypha.limits.turns import Turns
from hypha.registry.query import Listing
from hypha.registry.records import ServiceRecord
from hypha.values import is_whole, unknown_keys

MAX_LIMIT = 1000
MAX_QUERY_CHARS = 1000
MAX_WORDS = 16
MAX_FILTER_VALUES = 1000
MAX_RETURN_FIELDS = 100
FILTER_KEYS = frozenset(
    {"id", "name", "service_id", "type", "app_id", "workspace", "client_id", "visibility", "description"}
)
ORDER_KEYS = frozenset({"score", "id", "name", "type", "description", "app_id"})
MAX_DETAIL_CHARS = 20_000
"""So much of the texts of one service is searched: its docs, then names and descriptions of its functions."""
MAX_SEARCHES = 8
"""Searches that look through texts in turn; of one party one at a time."""
_SLICE_CHARS = 500_000
"""Searched between two pauses, once for each word: 1 ms, or 4 ms where texts nearly fit."""
_RECORD_CHARS = 1000
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search, checked; see `WorkspaceManager.search_services` for the meaning of the fields."""

    words: tuple[str, ...] = ()
    filters: Mapping[str, frozenset[str]] | None = None
    limit: int = 5
    offset: int = 0
    return_fields: tuple[str, ...] | None = None
    order_by: str | None = None
    is_descending: bool = False

    @classmethod
    def parse(
        cls,
        query: object = None,
        filters: object = None,
        limit: object = 5,
        offset: object = 0,
        return_fields: object = None,
        order_by: object = None,
    ) -> SearchRequest:
        """Check the arguments of a search.

        Raises:
            InvalidRequest: wrong types, unknown filter or order, limit or offset out of range.
        """
        if query is not None and not isinstance(query, str):
            raise InvalidRequest("Search query must be text; search by vector is not enabled.")
        order = None if order_by is None else _text(order_by, "order_by")
        is_descending = order is not None and (order.startswith("-") or order == "score")
        order = order.lstrip("-") if order else None
        if order is not None and order not in ORDER_KEYS:
            raise InvalidRequest(f"Invalid order_by: {order!r}, must be one of {sorted(ORDER_KEYS)}.")
        words = _WORD.findall((query or "")[:MAX_QUERY_CHARS].lower())
        return cls(
            tuple(dict.fromkeys(words))[:MAX_WORDS],
            _parse_filters(filters),
            _number(limit, "limit", 1, MAX_LIMIT),
            _number(offset, "offset", 0, 10**9),
            _parse_fields(return_fields),
            order,
            is_descending,
        )

    def accepts(self, record: ServiceRecord) -> bool:
        """True if the record passes every filter."""
        if not self.filters:
            return True
        return all(_field(record, key) in allowed for key, allowed in self.filters.items())


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"Search {name} must be text.")
    return value


def _number(value: object, name: str, least: int, most: int) -> int:
    if not is_whole(value) or not least <= value <= most:
        raise InvalidRequest(f"Search {name} must be a number from {least} to {most}.")
    return value


def _parse_filters(filters: object) -> dict[str, frozenset[str]] | None:
    if filters is None:
        return None
    if not isinstance(filters, Mapping):
        raise InvalidRequest("Search filters must be a map of field names to values.")
    if unknown := unknown_keys(filters, FILTER_KEYS):
        raise InvalidRequest(f"Invalid filter keys: {unknown}, must be among {sorted(FILTER_KEYS)}.")
    allowed: dict[str, frozenset[str]] = {}
    for key, value in filters.items():
        values = value if isinstance(value, list | tuple) else [value]
        if len(values) > MAX_FILTER_VALUES:
            raise InvalidRequest(f"Search filter '{key}' may list {MAX_FILTER_VALUES} values at most.")
        allowed[key] = frozenset(_text(item, f"filter '{key}'") for item in values)
    return allowed


def _parse_fields(fields: object) -> tuple[str, ...] | None:
    if fields is None:
        return None
    if isinstance(fields, str) or not isinstance(fields, Sequence) or len(fields) > MAX_RETURN_FIELDS:
        raise InvalidRequest(
            f"Search return_fields must be a list of at most {MAX_RETURN_FIELDS} field names."
        )
    return tuple(_text(name, "return_fields") for name in fields)


def _field(record: ServiceRecord, key: str) -> str:
    if key == "name":
        return record.title or record.name
    if key == "service_id":
        return record.name
    value = getattr(record, key)
    return value if isinstance(value, str) else ""


def score(record: ServiceRecord, words: Sequence[str]) -> float:
    """How well a service fits, 0 to 1: the mean over the words of where each was found best."""
    if not words:
        return 1.0
    head = f"{record.name} {record.title} {record.type} {record.app_id}".lower()
    head_words = set(_WORD.findall(head.replace("_", " ").replace("-", " ")))
    description = (record.description or "").lower()
    rest = ""
    total = 0.0
    for word in words:
        if word in head_words:
            total += 1.0
        elif word in head:
            total += 0.8
        elif word in description:
            total += 0.6
        else:
            rest = rest or _details(record).lower()
            total += 0.3 if word in rest else 0.0
    return total / len(words)


def _details(record: ServiceRecord) -> str:
    """The docs, and names and descriptions of the functions, as far as they are searched."""
    parts, left = [], MAX_DETAIL_CHARS
    for text in _texts(record):
        parts.append(text[:left])
        left -= len(parts[-1]) + 1
        if left <= 0:
            break
    return " ".join(parts)


def _texts(record: ServiceRecord) -> Iterator[str]:
    if isinstance(record.docs, str):
        yield record.docs
    for name, entry in record.service_schema.items():
        yield name if isinstance(name, str) else ""
        function = entry.get("function") if isinstance(entry, Mapping) else None
        text = function.get("description") if isinstance(function, Mapping) else None
        if isinstance(text, str):
            yield text[:2000]


def _chars(record: ServiceRecord) -> int:
    """How many characters of a service are searched for one word, at most."""
    left = MAX_DETAIL_CHARS
    for text in _texts(record):
        left -= len(text) + 1
        if left <= 0:
            break
    return _RECORD_CHARS + len(record.description or "") + MAX_DETAIL_CHARS - max(left, 0)


class Search:
    """Finds services by words, among public ones and those of the caller's workspace."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._searching = Turns(MAX_SEARCHES, per_party=1)
        self._looking = Turns()
        """One search at a time looks through a slice, so that many of them don't make long turns together."""

    async def search(
        self, context: Context, request: SearchRequest, include_unlisted: bool = False
    ) -> tuple[list[dict[str, Any]], int]:
        """One page of results, best first unless ordered otherwise, and the number of all matches."""
        async with self._searching.taken():
            async with self._looking.taken():
                found = await self._visible(context, include_unlisted)
            hits = await self._hits(found, request)
        self._sort(hits, request)
        page = hits[request.offset : request.offset + request.limit]
        infos = self._listing.page(context, [record for _, record in page])
        return [_item(info, fit, request) for info, (fit, _) in zip(infos, page, strict=False)], len(hits)

    async def _hits(
        self, found: Sequence[ServiceRecord], request: SearchRequest
    ) -> list[tuple[float, ServiceRecord]]:
        """The services that fit, and how well; others are served in between."""
        hits: list[tuple[float, ServiceRecord]] = []
        left = deque(found)
        while left:
            async with self._looking.taken():
                _look_through(left, request, hits)
            await asyncio.sleep(0)
        return hits

    async def _visible(self, context: Context, include_unlisted: bool) -> list[ServiceRecord]:
        found = await self._listing.records(context, "*")
        if include_unlisted:
            own = await self._listing.records(context, {"workspace": context.workspace}, True)
            found += [record for record in own if record.visibility == "unlisted"]
        return found

    @staticmethod
    def _sort(hits: list[tuple[float, ServiceRecord]], request: SearchRequest) -> None:
        if request.order_by in (None, "score"):
            is_best_first = request.order_by is None or request.is_descending
            hits.sort(key=lambda hit: (-hit[0] if is_best_first else hit[0], hit[1].order))
            return
        order_by = request.order_by or ""
        hits.sort(key=lambda hit: (_field(hit[1], order_by), hit[1].order), reverse=request.is_descending)


def _look_through(
    left: deque[ServiceRecord], request: SearchRequest, hits: list[tuple[float, ServiceRecord]]
) -> None:
    """Take services from what is left, as many as are searched in one turn, and note those that fit."""
    searched = 0
    while left:
        record = left.popleft()
        if record.is_built_in or not request.accepts(record):
            searched += _RECORD_CHARS
        else:
            searched += _chars(record) * max(1, len(request.words))
            fit = score(record, request.words)
            if fit > 0:
                hits.append((fit, record))
        if searched >= _SLICE_CHARS:
            return


def _item(info: dict[str, Any], fit: float, request: SearchRequest) -> dict[str, Any]:
    if request.return_fields is not None:
        info = {name: info[name] for name in request.return_fields if name in info}
    info["score"] = round(fit, 4)
    return info
