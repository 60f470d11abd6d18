"""The peer of the server through which people call clients who are no clients themselves, as over HTTP.

It is reached under one id in every workspace: a callee sees the workspace and user of its caller, and answers
there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypha.hub.calls import Calls
from hypha.hub.hosted import HostedServices
from hypha.hub.inbox import Inbox
from hypha.wire.bounded import MAX_PASSED_VALUES

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.hub.ports import PeerPorts
    from hypha.wire.frames import Buffer


class GatewayPeer:
    """Calls for others: `calls` takes the caller's context with each of them.

    Args:
        peer_id: its id in every workspace.
        server_url: the public base URL.
    """

    def __init__(self, ports: PeerPorts, peer_id: str, server_url: str) -> None:
        self.peer_id = peer_id
        self.calls = Calls(ports, lambda workspace: f"{workspace}/{peer_id}", server_url)
        self.address = self.calls.address
        nothing = HostedServices(self.address, server_url)
        self._inbox = Inbox(ports, self.calls, nothing, MAX_PASSED_VALUES)
        self.unfinished = self._inbox.unfinished

    def receive(self, sender: Client, main: dict[str, Any], data: Buffer, head: int) -> None:
        """Take answers of callees, and what they call back."""
        self._inbox.receive(sender, main, data, head)

    async def close(self) -> None:
        """Cancel running calls, drop unfinished messages."""
        await self._inbox.close()
