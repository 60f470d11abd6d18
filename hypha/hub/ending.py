"""The end of a client: it is not found, its services go, its callers are told, its workspace hears of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hypha.hub.callers import Callers
    from hypha.hub.client import Client
    from hypha.hub.clients import Clients
    from hypha.hub.flow import Flow
    from hypha.hub.leftovers import Leftovers
    from hypha.hub.stats import HubStats
    from hypha.hub.upcalls import Upcalls

logger = logging.getLogger(__name__)


class Keeper(Protocol):
    """A part that keeps something for clients."""

    def forget(self, client: Client) -> None:
        """Drop what is kept for a client that has ended."""


class Ending:
    """Ends clients."""

    def __init__(
        self,
        clients: Clients,
        callers: Callers,
        flow: Flow,
        leftovers: Leftovers,
        upcalls: Upcalls,
        stats: HubStats,
    ) -> None:
        self._clients = clients
        self._callers = callers
        self._flow = flow
        self._leftovers = leftovers
        self._upcalls = upcalls
        self._stats = stats
        self._keepers: list[Keeper] = []
        """Who keeps something for clients, beside `Clients`."""

    def add(self, keeper: Keeper) -> None:
        """Tell this part of each client that has ended."""
        self._keepers.append(keeper)

    def end(self, client: Client, why: str) -> None:
        """End a client's state; nothing happens if it has ended already.

        Args:
            why: for the log.
        """
        if client.ended:
            return
        if client.is_mirror:
            if self._upcalls.elsewhere is not None:
                self._upcalls.elsewhere.end(client, why)
            return
        logger.debug("The state of %s ends: %s", client.address, why)
        link = client.end()
        self._clients.hide(client)
        self._flow.forget(client)
        self._upcalls.membership.services_end(client)
        self._tell_callers(client)
        entries = list(client.outbox.entries)
        client.outbox.drop([])
        self._leftovers.add(entry[0] for entry in entries)
        self._clients.forget(client)
        for keeper in self._keepers:
            keeper.forget(client)
        self._upcalls.membership.client_ended(client)
        client.subscriptions.clear()
        if link is not None:
            self._stats.connections_closed += 1
            link.close(1001, "The client's state has ended")

    def release(self, client: Client) -> None:
        """End what is kept of a client that goes on at another replica; its callers were handed over."""
        link = client.end()
        self._clients.hide(client)
        self._flow.forget(client)
        client.outbox.drop([])
        self._clients.forget(client)
        for keeper in self._keepers:
            keeper.forget(client)
        self._upcalls.membership.client_moved(client)
        client.subscriptions.clear()
        if link is not None:
            self._stats.connections_closed += 1
            link.close(1001, "The client goes on at another server")

    def _tell_callers(self, client: Client) -> None:
        outbox = client.outbox
        waiting = list(outbox.entries)[outbox.written - outbox.base :]
        unwritten = {entry[2] for entry in waiting if entry[2] is not None}
        calls, client.pending = client.pending, {}
        for key in calls:
            if key in unwritten:
                self._callers.tell_undelivered(client, key)
            else:
                self._callers.tell_unknown(client, key)
        self._callers.tell_elsewhere(client, calls)
