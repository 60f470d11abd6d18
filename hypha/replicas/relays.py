"""Ends of other replicas' servers on the wire, as clients here answer and call them.

The manager has one address everywhere: what clients send there is for the manager of this replica, unless it
belongs to a call that another one's made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hypha.errors import HyphaError
from hypha.wire.frames import Frame

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.hub.outbox import Caller
    from hypha.hub.service_peer import ServicePeer
    from hypha.hub.unfinished import UnfinishedMessages
    from hypha.wire.frames import Buffer

Give = Callable[[str, "Client", Frame], None]
"""Gives a frame of a client here to a peer of another replica."""
Reject = Callable[[str, str, str, str, HyphaError], None]
"""Ends a call of a peer of another replica: replica, peer, session, who was called, why."""


class Relay:
    """A peer inside another replica's server; to the hub both a peer and a caller."""

    ended = False
    """Who called for a replica that has ended is told nothing."""

    def __init__(
        self, replica: str, address: str, give: Give, reject: Reject, unfinished: UnfinishedMessages
    ) -> None:
        self.replica = replica
        self.address = address
        self.unfinished = unfinished
        """Empty: what clients send in chunks is put together where it goes."""
        self._give = give
        self._reject = reject

    @property
    def calls(self) -> Caller:
        """See `Peer`."""
        return self

    def receive(self, sender: Client, main: dict[str, Any], data: Buffer, head: int) -> None:
        """Give it what a client here has sent, with the true identity of that."""
        session, _, name = str(main.get("method")).partition(".")
        if name in ("resolve", "reject"):
            call = sender.pending.pop((self, session), None)
            if call is not None:
                sender.outbox.acknowledge(call[0])
                sender.doubts.pop((self, session), None)
        to = str(main.get("to"))
        address = to if "/" in to else f"{sender.workspace}/{to}"
        self._give(self.replica, sender, sender.stamp.apply(main, data, head, address, True))

    def reject(self, session: str, source: str, error: HyphaError) -> None:
        """See `Caller`."""
        self._reject(self.replica, self.address, session, source, error)


class SharedManager:
    """The manager of this replica, at the address that all of them have."""

    def __init__(self, own: ServicePeer) -> None:
        self._own = own
        self.address = own.address
        self.calls = own.calls
        self.unfinished = own.unfinished
        self.relays: dict[str, Relay] = {}
        """The managers of others, by replica."""

    def receive(self, sender: Client, main: dict[str, Any], data: Buffer, head: int) -> None:
        """See `Peer`."""
        method = str(main.get("method"))
        if self.relays and not method.startswith("services."):
            session = method.partition(".")[0]
            if not self._is_ours(sender, session):
                for relay in self._meant(sender, session):
                    relay.receive(sender, main, data, head)
                return
        self._own.receive(sender, main, data, head)

    def _is_ours(self, sender: Client, session: str) -> bool:
        calls = self._own.calls
        return calls.is_open(session) or calls.sessions.find(session, sender.address) is not None

    def _meant(self, sender: Client, session: str) -> list[Relay]:
        """Whose call it answers; a callback may be any one's for which the sender works."""
        relays = list(self.relays.values())
        exact = [relay for relay in relays if (relay, session) in sender.pending]
        return exact or [relay for relay in relays if any(key[0] is relay for key in sender.pending)]
