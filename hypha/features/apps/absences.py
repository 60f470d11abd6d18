"""Workers that are away: what they run is lost soon, and ended should they be back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypha.features.apps.ledger import Ledger
    from hypha.features.apps.running import Running
    from hypha.hub.hub import Hub

LOOK_S = 0.5


class Absences:
    """Looks at all workers now and then.

    A worker whose callers wait for it no more is taken for gone, though its client may be back later: so
    daemons are started elsewhere, and nobody believes in sessions whose worker was killed.
    """

    def __init__(self, running: Running, ledger: Ledger, hub: Hub) -> None:
        self._running = running
        self._ledger = ledger
        self._hub = hub

    async def run(self) -> None:
        """Look, until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Give up sessions of workers that are away, and end those of workers that are back."""
        for workspace, client_id in self._running.sessions.workers():
            client = self._hub.client(workspace, client_id)
            if client is not None and client.is_held and client.fails_fast:
                self._running.worker_lost(workspace, client_id)
        self._ledger.look()
