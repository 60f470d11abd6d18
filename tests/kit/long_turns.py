"""Turns of the event loops of all servers of a session that took too long."""

from __future__ import annotations

import pytest

from hypha.testing import turns

TURNS = pytest.StashKey[turns.TurnReports]()
KNOWN_LONG_TURNS: dict[str, str] = {
    "webserver.py": "the last garbage collection of start-up",
}
"""Places in which a turn may take over 100 ms, and why."""


def long_turns(config: pytest.Config) -> list[turns.LongTurn]:
    """Those that nobody has heard of and that are not known to be that long."""
    found = config.stash[TURNS].new()
    return [turn for turn in found if not any(turn.is_in(place) for place in KNOWN_LONG_TURNS)]
