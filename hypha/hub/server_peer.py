"""The server's own end in the workspace `public`: built-in services and startup services together.

Both are reached under one address, `public/<server_id>`. What the server itself offers is answered
here; everything else goes to the guest, the client library's object of the startup functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypha.errors import MalformedFrame
from hypha.hub.local_peer import LocalPeer
from hypha.wire.bounded import MAX_QUICK_VALUES
from hypha.wire.frames import Buffer, decode_body

if TYPE_CHECKING:
    from hypha.hub.client import Client


class ServerPeer(LocalPeer):
    """A peer inside the server that shares its address with a guest client."""

    def receive(self, sender: Client, main: dict[str, Any], data: Buffer, head: int) -> None:
        """Answer what is ours; pass the rest to the guest."""
        guest = self.ports.clients.guest(self.address)
        if guest is None or self._is_ours(main, data, head):
            super().receive(sender, main, data, head)
        else:
            self.ports.forward(sender, guest, main, data, head)

    def _is_ours(self, main: dict[str, Any], data: Buffer, head: int) -> bool:
        method = str(main.get("method", ""))
        if not method.startswith("services."):
            return method.partition(".")[0] in self._waiting
        service_id = method.split(".", 2)[1]
        if service_id != "built-in":
            return service_id in self.services
        if method != "services.built-in.get_service":
            return False
        try:
            args = decode_body(data, head, MAX_QUICK_VALUES).get("args")
        except MalformedFrame:
            return True  # and refused here
        return isinstance(args, list) and bool(args) and str(args[0]).rpartition(":")[2] in self.services
