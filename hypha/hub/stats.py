"""Counters of the hub: plain integers, read when metrics are scraped."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class HubStats:
    """Totals since the start of the server."""

    connections_total: int = 0
    connections_closed: int = 0
    malformed: int = 0
    broadcasts: int = 0
    rejects_not_delivered: int = 0
    outcome_unknown: int = 0
    resumed: int = 0
    held: int = 0
    superseded: int = 0
    choked: int = 0
    slow_readers_closed: int = 0
    pings: int = 0
