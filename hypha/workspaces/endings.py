"""Tells those who keep something for workspaces that one has ended, whichever way it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

HEARING_LIMIT_S = 10.0
"""Nobody can make a workspace of the same id meanwhile."""

Hear = Callable[[str], Awaitable[None]]


class Endings:
    """Who wants to hear of the end of workspaces, in the order in which they came.

    They are called with the id, after the records of the workspace are gone from the database, and while
    nobody can make another one of that id; for at most 10 s each. A server that is killed in between tells
    nobody: who keeps something outside of the database compares it with the workspaces at its start.
    """

    def __init__(self) -> None:
        self._hearers: list[tuple[Hear, bool]] = []
        """Each with whether it hears of stored ones alone."""

    def follow(self, hear: Hear, *, stored_only: bool = False) -> None:
        """Call `hear` with the id of each workspace that ends from now on.

        Args:
            stored_only: not of those of which the database never had a row. Each visit of a stranger makes
                and ends one, so whoever can have kept nothing for them should not be asked to look.
        """
        self._hearers.append((hear, stored_only))

    async def tell(self, workspace: str, *, was_stored: bool = True) -> None:
        """Tell all, one after the other; the caller holds the workspace's lock."""
        for hear, stored_only in self._hearers:
            if stored_only and not was_stored:
                continue
            try:
                async with asyncio.timeout(HEARING_LIMIT_S):
                    await hear(workspace)
            except Exception:
                logger.exception("Could not clean up after the workspace %s", workspace)
