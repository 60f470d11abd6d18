"""Tells callers that no answer will come (docs/spec/reconnecting.md#classes)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hypha.hub.refusals import absent, outcome_unknown

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.hub.clients import Clients
    from hypha.hub.outbox import CallKey
    from hypha.hub.stats import HubStats


class Callers:
    """What those hear who called a client that is away or has ended."""

    def __init__(self, clients: Clients, stats: HubStats) -> None:
        self._clients = clients
        self._stats = stats

    def tell_undelivered(self, client: Client, key: CallKey) -> None:
        """The client never saw the call."""
        self._stats.rejects_not_delivered += 1
        key[0].reject(key[1], client.address, absent(client.address))

    def tell_unknown(self, client: Client, key: CallKey) -> None:
        """The client may have run the call."""
        self._stats.outcome_unknown += 1
        key[0].reject(key[1], client.address, outcome_unknown(client.address))

    def tell_elsewhere(self, client: Client, calls: Iterable[CallKey]) -> None:
        """Let callers in other workspaces drop all they keep for the client.

        Those of its own workspace learn it from `client_disconnected`
        (docs/spec/wire-protocol.md#absent-peers).
        """
        for caller, session in {key[0]: key[1] for key in calls}.items():
            found = self._clients.get(caller.address)
            if found is caller and found.workspace != client.workspace:
                message = {
                    "session": session,
                    "peer_id": client.address,
                    "error": outcome_unknown(client.address).rpc_text,
                }
                found.tell({"type": "peer_not_found", "to": found.address, **message})
