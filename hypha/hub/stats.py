"""Counters of the hub: plain integers, read when metrics are scraped."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class HubStats:
    """Totals since the start of the server."""

    connections_total: int = 0
    """Links that clients got, first ones and later ones."""
    connections_closed: int = 0
    """Links that were lost, or closed with their client; not those that were superseded."""
    malformed: int = 0
    """Frames that were dropped because they break the wire format."""
    broadcasts: int = 0
    """Events that went to at least one subscriber."""
    rejects_not_delivered: int = 0
    """Callers that were told that the callee never saw their call."""
    outcome_unknown: int = 0
    """Callers that were told that the callee may have run their call."""
    resumed: int = 0
    """Clients that came back."""
    held: int = 0
    """Clients that lost their link."""
    superseded: int = 0
    """Links that a newer one of their client replaced."""
    choked: int = 0
    """Times that too much waited for a client."""
    slow_readers_closed: int = 0
    """Clients whose link was closed because of that."""
    pings: int = 0
    """PINGs that ask for proof of arrival."""
