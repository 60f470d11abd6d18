"""Calls to somebody who is not known here wait until it has been looked up where it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hypha.background import Tasks
from hypha.errors import BackendUnavailable

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.hub.hub import Hub
    from hypha.presence.base import Presence
    from hypha.replicas.watching import Watching
    from hypha.wire.frames import Buffer

MAX_SOUGHT_BYTES = 16 * 1024 * 1024
"""What waits for lookups; callers of more are refused."""
FRAME_COST_BYTES = 1024
"""What a frame costs beside its bytes."""
LOOKUP_S = 2.0
"""Longest lookup; then nobody is there."""


class Seeking:
    """The lookups under way."""

    def __init__(self, hub: Hub, presence: Presence, watching: Watching) -> None:
        self._hub = hub
        self._presence = presence
        self._watching = watching
        self._waiting: dict[str, list[tuple[Client, bytes]]] = {}
        """Frames by the address to which they go, in order."""
        self._bytes = 0
        self._tasks = Tasks()
        self._settled = ""
        """The address whose frames are routed again now."""

    def take(self, sender: Client, address: str, data: Buffer) -> bool:
        """Keep a frame until its receiver was looked up; False if there is nobody, or no room."""
        cost = len(data) + FRAME_COST_BYTES
        if address == self._settled or self._bytes + cost > MAX_SOUGHT_BYTES:
            return False
        waiting = self._waiting.get(address)
        if waiting is None:
            waiting = self._waiting[address] = []
            self._tasks.start(self._seek(address))
        waiting.append((sender, bytes(data)))
        self._bytes += cost
        return True

    async def _seek(self, address: str) -> None:
        workspace, _, client_id = address.partition("/")
        try:
            async with asyncio.timeout(LOOKUP_S):
                await self._watching.prepare(workspace)
                if self._hub.clients.get(address) is None:
                    found = await self._presence.client(workspace, client_id)
                    if found is not None:
                        self._watching.put_client(found)
        except (BackendUnavailable, TimeoutError):
            pass  # callers are told that it cannot be reached
        finally:
            self._settle(address)

    def _settle(self, address: str) -> None:
        """Route again what waited: to its receiver, or its callers are refused."""
        frames = self._waiting.pop(address)
        self._bytes -= sum(len(data) + FRAME_COST_BYTES for _, data in frames)
        self._settled = address
        try:
            for sender, data in frames:
                if not sender.ended:
                    self._hub.route(sender, data)
        finally:
            self._settled = ""

    async def close(self) -> None:
        """Look for nobody any more."""
        await self._tasks.close()
