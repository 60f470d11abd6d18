"""Messages that clients are sending to a peer inside the server in chunks.

See docs/spec/wire-protocol.md#large-messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypha.hub.shares import payer
from hypha.wire.chunks import MessageCache, MessageCaches, Taken

if TYPE_CHECKING:
    from hypha.hub.client import Client


class UnfinishedMessages:
    """The message cache of each client of one peer, as long as it has something in it."""

    def __init__(self, rooms: MessageCaches) -> None:
        self._rooms = rooms
        self._caches: dict[str, MessageCache] = {}
        """By the client's address; no cache in it is empty for long."""

    def __len__(self) -> int:
        return len(self._caches)

    def of(self, client: Client) -> MessageCache:
        """The cache of a client; a new one if it has none."""
        cache = self._caches.get(client.address)
        if cache is None:
            cache = self._caches[client.address] = self._rooms.cache(payer(client))
        return cache

    def take(self, client: Client, key: str) -> Taken:
        """The chunks of a finished message, which is forgotten here; release it.

        Raises:
            InvalidRequest: there is no such message, or chunks are missing.
        """
        cache = self.of(client)
        taken = cache.take(key)
        if not len(cache):
            self._caches.pop(client.address, None)
        return taken

    def forget(self, client: Client) -> None:
        """Drop what an ended client left unfinished."""
        cache = self._caches.pop(client.address, None)
        if cache is not None:
            cache.clear()

    def expire(self, now: float) -> None:
        """Drop messages that clients left unfinished for too long."""
        for address, cache in list(self._caches.items()):
            cache.expire(now)
            if not len(cache):
                del self._caches[address]

    def clear(self) -> None:
        """Drop all."""
        for cache in self._caches.values():
            cache.clear()
        self._caches.clear()
