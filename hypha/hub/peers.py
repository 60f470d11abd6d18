"""The peers inside the server: its own ends, which answer calls and make some."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from hypha.hub.outbox import Caller

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.hub.unfinished import UnfinishedMessages
    from hypha.wire.frames import Buffer


class Peer(Protocol):
    """One end of the server's own on the wire."""

    @property
    def address(self) -> str:
        """Under which it is reached; of one that is reached in every workspace, for the log."""

    @property
    def calls(self) -> Caller:
        """Waits for the answers to its calls."""

    @property
    def unfinished(self) -> UnfinishedMessages:
        """Messages that clients are sending to it in chunks."""

    def receive(self, sender: Client, main: dict[str, Any], data: Buffer, head: int) -> None:
        """Handle a frame that a client sent to it; its envelope is `main`, `head` bytes long."""


class Peers:
    """All of them, and under which address each is reached."""

    def __init__(self, manager_id: str) -> None:
        self.manager_id = manager_id
        """The manager's, `*/<manager_id>`; the same over restarts."""
        self._manager: Peer | None = None
        """None until it is put on the wire."""
        self._everywhere: dict[str, Peer] = {}
        """Those that are reached under one id in every workspace."""
        self._by_address: dict[str, Peer] = {}

    def add_manager(self, peer: Peer) -> None:
        """The manager answers from now on."""
        self._manager = peer

    def add_everywhere(self, client_id: str, peer: Peer) -> None:
        """A peer is reached under this id in every workspace."""
        self._everywhere[client_id] = peer

    def add(self, peer: Peer) -> None:
        """A peer is reached under its address."""
        self._by_address[peer.address] = peer

    def remove(self, peer: Peer) -> None:
        """A peer is reached no more."""
        for peers in (self._everywhere, self._by_address):
            for key in [key for key, known in peers.items() if known is peer]:
                del peers[key]

    def __iter__(self) -> Iterator[Peer]:
        if self._manager is not None:
            yield self._manager
        yield from self._everywhere.values()
        yield from self._by_address.values()

    def is_taken(self, address: str) -> bool:
        """True if a peer is reached under just this address."""
        return address in self._by_address

    def is_reserved(self, client_id: str) -> bool:
        """True for ids of the server's own, which no client may take in any workspace."""
        return (
            client_id == self.manager_id or client_id.startswith("manager-") or client_id in self._everywhere
        )

    def find(self, address: str, client_id: str) -> Peer | None:
        """The peer that answers under this address of a workspace."""
        return self._by_address.get(address) or self._everywhere.get(client_id)

    def at(self, workspace: str, client_id: str, address: str) -> Peer | None:
        """The peer that answers under this address, the manager's included."""
        if workspace == "*":
            return self._manager if client_id == self.manager_id else None
        return self.find(address, client_id)

    def forget(self, client: Client) -> None:
        """Drop what an ended client left unfinished."""
        for peer in self:
            peer.unfinished.forget(client)

    def expire(self, now: float) -> None:
        """Drop what clients left unfinished for too long."""
        for peer in self:
            peer.unfinished.expire(now)
