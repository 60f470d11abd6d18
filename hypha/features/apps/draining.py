"""Ending an instance of several without a call that fails: it gets no more calls, and ends those it has.

Look-ups choose others at once. Callers that hold a service of it are told to look it up again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hypha.features.apps.sessions import Session, Status

if TYPE_CHECKING:
    from hypha.features.apps.running import Running
    from hypha.features.ports import ServicesPort
    from hypha.hub.hub import Hub

GRACE_S = 1.0
"""Whoever has just looked it up may still call."""
DRAIN_S = 30.0
"""So long calls under way are waited for."""
LOOK_S = 0.1


class Draining:
    """Drains sessions, and stops them."""

    def __init__(
        self,
        running: Running,
        services: ServicesPort,
        hub: Hub,
        patience_s: float = DRAIN_S,
    ) -> None:
        self._running = running
        self._services = services
        self._hub = hub
        self._patience_s = patience_s

    async def stop(self, session: Session) -> None:
        """End a session that runs; look-ups don't choose it from now on."""
        session.status = Status.STOPPING
        self._services.retire_program(session.workspace, session.client_id)
        try:
            async with asyncio.timeout(self._patience_s):
                await asyncio.sleep(GRACE_S)
                await self._until_answered(session)
        except TimeoutError:
            pass  # the rest is broken off
        await self._running.stop(session)

    async def _until_answered(self, session: Session) -> None:
        client = self._hub.client(session.workspace, session.client_id)
        if client is None:
            return
        self._hub.retire(client)
        while True:
            if client.ended or not client.pending:
                return
            await asyncio.sleep(LOOK_S)
