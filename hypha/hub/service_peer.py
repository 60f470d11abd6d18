"""A peer of the server that offers built-in services under one address: the manager, and the server itself.

The server's own end in a workspace, `public/<server_id>`, may share its address with a guest: the client
library's object of the startup functions, to which everything goes that is not the server's. Messages in
chunks are put together here for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hypha.errors import MalformedFrame
from hypha.hub.calls import GET_SERVICE, Calls
from hypha.hub.hosted import HostedServices, IsUsable
from hypha.hub.inbox import Inbox
from hypha.hub.message_cache import session_of_chunk
from hypha.wire.bounded import MAX_QUICK_VALUES, MAX_VALUES
from hypha.wire.frames import Buffer, decode_body, read_envelope
from hypha.wire.pieces import Pieces
from hypha.wire.values import BUILT_IN, MESSAGE_CACHE, SERVICES

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.hub.ports import PeerPorts


class ServicePeer:
    """Built-in services on the wire.

    Args:
        address: `*/<manager_id>` or `<workspace>/<server_id>`.
        server_url: the public base URL.
        is_usable: who may have the description of which service; None for everybody.
    """

    def __init__(
        self, ports: PeerPorts, address: str, server_url: str, is_usable: IsUsable | None = None
    ) -> None:
        self.address = address
        self.services = HostedServices(address, server_url, is_usable)
        self.calls = Calls(ports, lambda workspace: address, server_url)
        self._inbox = Inbox(ports, self.calls, self.services, MAX_VALUES, self._guest_for)
        self.unfinished = self._inbox.unfinished
        self.running = self._inbox.serving.running
        self._ports = ports

    def receive(self, sender: Client, main: dict[str, Any], data: Buffer, head: int) -> None:
        """Handle what is ours; pass the rest to the guest."""
        guest = self._ports.clients.guest(self.address)
        if guest is None or self._is_ours(main, data, head):
            self._inbox.receive(sender, main, data, head)
        else:
            self._ports.forward(sender, guest, main, data, head)

    def _is_ours(self, main: dict[str, Any], data: Buffer, head: int) -> bool:
        method = str(main.get("method", ""))
        if not method.startswith(SERVICES):
            return self.calls.is_open(method.partition(".")[0])
        if not method.startswith(BUILT_IN):
            return method.split(".", 2)[1] in self.services
        is_chunk = method.startswith(MESSAGE_CACHE)
        if method != GET_SERVICE and not is_chunk:
            return False
        try:
            body = decode_body(data, head, MAX_QUICK_VALUES)
        except MalformedFrame:
            return True  # and refused here
        if is_chunk:
            session = session_of_chunk(method[len(BUILT_IN) :], body)
            return session is None or self.calls.is_open(str(session))
        args = body.get("args")
        return isinstance(args, list) and bool(args) and str(args[0]).rpartition(":")[2] in self.services

    def _guest_for(self, chunks: Sequence[bytes]) -> Client | None:
        """The guest, if a message that came in chunks is for it."""
        guest = self._ports.clients.guest(self.address)
        if guest is None:
            return None
        main, _ = read_envelope(Pieces(chunks))
        method = main.get("method")
        if not isinstance(method, str) or method.startswith(BUILT_IN):
            return None
        return None if self._is_ours(main, b"", 0) else guest

    async def close(self) -> None:
        """Cancel running calls, drop unfinished messages."""
        await self._inbox.close()
