"""How many frames came: what the turns of senders are measured by (`hypha/transports/upgrade.py`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Traffic:
    """Totals since the start of the server. Fairness depends on them; metrics only show them."""

    frames: int = 0
    """From clients, well-formed or not; control frames of WebSockets included."""
    to_server: int = 0
    """Of these, for peers inside the server."""
