"""In which form a caller wants its answer (RFC 9110, 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypha.gateways.http.parameters import JSON_TYPE, MSGPACK_TYPES, is_msgpack, media_type
from hypha.web.scope import HEADERS

EVENTS_TYPE = "text/event-stream"
MAX_RANGES = 100
"""Of an `Accept` field with more, the rest is not read."""

_QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


@dataclass(frozen=True, slots=True)
class _Range:
    """One entry of `Accept`: a type, or a pattern such as `application/*`."""

    name: str
    quality: float
    place: int

    def rank(self, kind: str) -> int:
        """How closely it names a type: 2 itself, 1 its family, 0 everything; -1 not at all."""
        if self.name == kind:
            return 2
        if self.name == f"{kind.partition('/')[0]}/*":
            return 1
        return 0 if self.name == "*/*" else -1


ANYTHING, JSON = b"*/*", b"application/json"
"""What most programs say and send."""


def wants_msgpack(scope: Mapping[str, Any], *, stream: bool = False) -> bool:
    """Whether an answer goes out as MessagePack, else as JSON or, for a stream of items, as events.

    What `Accept` weighs higher is sent. Where it weighs them alike, the more closely named one, then the
    form of the request's body, then what comes first. Who accepts neither gets JSON.
    """
    headers: Mapping[bytes, bytes] = scope[HEADERS]
    content_type = headers.get(b"content-type")
    came_so = bool(content_type) and content_type != JSON and is_msgpack(media_type(content_type))
    accept = headers.get(b"accept")
    if not accept or accept == ANYTHING:
        return came_so
    ranges = _parse(accept.decode("latin-1"))
    packed = max(_weigh(ranges, kind) for kind in sorted(MSGPACK_TYPES))
    plain = _weigh(ranges, JSON_TYPE)
    if stream:
        plain = max(plain, _weigh(ranges, EVENTS_TYPE))
    if packed[0] == plain[0] == 0:
        return came_so and not any(item.name in MSGPACK_TYPES for item in ranges)
    if packed[:2] == plain[:2]:
        return came_so or (packed[1] == 2 and packed[2] > plain[2])
    return packed > plain


def _weigh(ranges: list[_Range], kind: str) -> tuple[float, int, int]:
    """Quality of a type, how closely it is named, and minus its place; zeros if it is not accepted."""
    best = max(ranges, key=lambda item: (item.rank(kind), -item.place), default=None)
    if best is None or best.rank(kind) < 0 or not best.quality:
        return 0.0, 0, 0
    return best.quality, best.rank(kind), -best.place


def _parse(accept: str) -> list[_Range]:
    found = []
    for place, part in enumerate(accept.split(",", MAX_RANGES)[:MAX_RANGES]):
        name, *parameters = (word.strip() for word in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            key, _, text = parameter.partition("=")
            if key.strip().lower() == "q":
                text = text.strip()
                quality = float(text) if _QUALITY.fullmatch(text) else 0.0
                break
        if name:
            found.append(_Range(name.lower(), quality, place))
    return found
