"""Calls to somebody who is not known here wait until it has been looked up where it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hypha.background import Tasks
from hypha.errors import BackendUnavailable
from hypha.hub.shares import Room, Shares

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.hub.hub import Hub
    from hypha.presence.base import Presence
    from hypha.replicas.watching import Watching
    from hypha.wire.frames import Buffer

MAX_SOUGHT_BYTES = Room(free=0, party=4 * 1024 * 1024, strangers=8 * 1024 * 1024, total=16 * 1024 * 1024)
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
        self._sought = Shares(MAX_SOUGHT_BYTES)
        self._bytes: dict[Client, int] = {}
        """What waits of each sender; none of them has nothing."""
        self._tasks = Tasks()
        self._settled = ""
        """The address whose frames are routed again now."""

    def take(self, sender: Client, address: str, data: Buffer) -> bool:
        """Keep a frame until its receiver was looked up; False if there is nobody, or no room."""
        cost = len(data) + FRAME_COST_BYTES
        sought = self._bytes.get(sender, 0) + cost
        if address == self._settled or not self._sought.note(sender, sought):
            return False
        self._bytes[sender] = sought
        waiting = self._waiting.get(address)
        if waiting is None:
            waiting = self._waiting[address] = []
            self._tasks.start(self._seek(address))
        waiting.append((sender, bytes(data)))
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
        for sender, data in frames:
            self._give_back(sender, len(data) + FRAME_COST_BYTES)
        self._settled = address
        try:
            for sender, data in frames:
                if not sender.ended:
                    self._hub.route(sender, data)
        finally:
            self._settled = ""

    def _give_back(self, sender: Client, cost: int) -> None:
        left = self._bytes.pop(sender) - cost
        self._sought.note(sender, left)
        if left:
            self._bytes[sender] = left

    async def close(self) -> None:
        """Look for nobody any more."""
        await self._tasks.close()
