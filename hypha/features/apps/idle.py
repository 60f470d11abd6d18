"""Stopping sessions that nobody uses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hypha.features.apps.sessions import Session, Status

if TYPE_CHECKING:
    from hypha.features.apps.running import Running
    from hypha.hub.hub import Hub

LOOK_S = 0.5


class Idle:
    """Looks at all sessions now and then.

    A program is in use while it owes an answer, and whenever it sends something, answers included. How
    many there are of an app that is scaled is seen to elsewhere (`scaler`).
    """

    def __init__(
        self, running: Running, hub: Hub, is_scaled: Callable[[str, str], bool] = lambda *_: False
    ) -> None:
        self._running = running
        self._hub = hub
        self._is_scaled = is_scaled

    async def run(self) -> None:
        """Look, until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Stop the sessions that have been without traffic for too long, and those whose tokens are over."""
        now, loop_now, today = time.monotonic(), self._hub.time(), time.time()
        for session in self._running.sessions.all():
            if 0 < session.token_until <= today:
                self._running.stop_soon(session)
            if session.stop_after_inactive_s is None or session.status is not Status.RUNNING:
                continue
            quiet_s = self._quiet_s(session, now, loop_now)
            is_over = quiet_s >= session.stop_after_inactive_s
            if is_over and not self._is_scaled(session.workspace, session.app_id):
                self._running.stop_soon(session)

    def _quiet_s(self, session: Session, now: float, loop_now: float) -> float:
        client = self._hub.client(session.workspace, session.client_id)
        if client is not None:
            if client.pending:
                session.active_at = now
                return 0.0
            session.active_at = max(session.active_at, now - (loop_now - client.last_received))
        return now - session.active_at
