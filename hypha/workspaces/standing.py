"""Keeps what open connections may do in step with what their users may do now.

A connection acts with the rights that its user had when it was made. When a workspace gets other
owners they are looked up again; when the token with which the client came expires they end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from hypha.auth.scopes import Level
from hypha.store.records import WorkspaceRecord

if TYPE_CHECKING:
    from hypha.auth.users import User
    from hypha.clock import Timer
    from hypha.hub.client import Client
    from hypha.hub.hub import Hub

LONGEST_WAIT_S = 6 * 3600.0
"""No timer runs longer: clocks are set, and most tokens outlive their connections."""
REMOVED_CODE = 1008
OWN_SUBSCRIPTIONS = frozenset({"client_disconnected"})
"""What the client libraries subscribe to by themselves after each reconnect; never stored."""


class Rights(Protocol):
    """What is needed of the workspaces."""

    def get(self, workspace: str) -> WorkspaceRecord | None:
        """The record of a workspace in memory, or None."""

    def level_for(self, user: User, record: WorkspaceRecord) -> Level:
        """What a user may do there now."""


class Standing:
    """Looks again at the rights of connected clients.

    Args:
        clock: Unix time in seconds.
    """

    def __init__(self, hub: Hub, rights: Rights, clock: Callable[[], float] = time.time) -> None:
        self._hub = hub
        self._rights = rights
        self._clock = clock
        self._timers: dict[Client, Timer] = {}

    def joined(self, client: Client) -> None:
        """End the rights of a new client when its token expires."""
        ends_at = client.user.lapses_at
        if ends_at is None or client.user.is_lapsed:
            return
        left_s = ends_at - self._clock()
        if left_s <= 0:
            self._lapse(client)
            return
        wait_s = min(left_s, LONGEST_WAIT_S)
        self._timers[client] = self._hub.clock.call_later(wait_s, self._look_at, client)

    def left(self, client: Client) -> None:
        """The client's state has ended."""
        timer = self._timers.pop(client, None)
        if timer is not None:
            timer.cancel()

    def _look_at(self, client: Client) -> None:
        self._timers.pop(client, None)
        if not client.ended:
            self.joined(client)

    def _lapse(self, client: Client) -> None:
        """Leave a client its identity and its services, and nothing else of its workspace."""
        client.act_as(client.user.lapsed())
        self._hub.events.unsubscribe(client, client.subscriptions - OWN_SUBSCRIPTIONS)

    def workspace_changed(self, workspace: str) -> None:
        """A workspace has other owners: who may no longer be in it is sent away, the others act anew."""
        record = self._rights.get(workspace)
        for client in self._hub.clients.of(workspace):
            user = client.user
            if record is None or user.is_lapsed or client.is_inner:
                continue
            level = self._rights.level_for(user, record)
            if level < Level.READ:
                self._hub.kick(client, REMOVED_CODE, f"Permission denied for workspace: {workspace}")
            elif level is not user.level(workspace):
                client.act_as(user.within(workspace, client.client_id, level))
