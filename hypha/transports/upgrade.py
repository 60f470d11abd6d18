"""Hands the upgrade of `/ws` from uvicorn's HTTP protocol to picows, on the same socket.

picows' protocol class is not part of its public names, so its version is pinned and this module
is tested against it (stack.md, "How one port serves both").
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from picows.picows import WSAutoPingStrategy, WSProtocol  # type: ignore[attr-defined]
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hypha.transports.ratelimit import FrameRate
from hypha.transports.reception import Reception
from hypha.transports.websocket import WebSocketLink
from hypha.wire.frames import MAX_FRAME_BYTES

logger = logging.getLogger(__name__)

_SLICE_BYTES = 1024 * 1024
_READ_BUFFER_BYTES = 4096
_UPGRADE_TIMEOUT_S = 10.0
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-type: text/plain\r\n"
    b"content-length: 25\r\nconnection: close\r\n\r\nServer busy, please retry"
)


class HubSocket(WSProtocol):  # type: ignore[misc]
    """picows' protocol, known to uvicorn so that it takes part in its graceful stop."""

    def __init__(self, link: WebSocketLink, connections: set[Any]) -> None:
        super().__init__(
            None, None, False, lambda _request: link, logging.getLogger("hypha.picows"), True,
            _UPGRADE_TIMEOUT_S, False, None, None, WSAutoPingStrategy.PING_WHEN_IDLE, True,
            MAX_FRAME_BYTES, None, _READ_BUFFER_BYTES,
        )  # fmt: skip
        self._link = link
        self._connections = connections
        connections.add(self)

    def get_buffer(self, size_hint: int) -> memoryview:
        """Read in bounded slices, so that one sender's burst does not hold up the others."""
        buffer: memoryview = super().get_buffer(size_hint)
        return buffer[:_SLICE_BYTES]

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave uvicorn's set of connections."""
        self._connections.discard(self)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """uvicorn stops: say goodbye with 1001, so that the client comes back at once."""
        self._link.retire()


def hub_http_protocol(
    reception: Reception, path: str, new_rate: Callable[[], FrameRate | None]
) -> type[HttpToolsProtocol]:
    """Make the HTTP protocol class for uvicorn that hands `path` upgrades to the hub."""
    wanted = path.encode()

    class HubHttpProtocol(HttpToolsProtocol):
        """uvicorn's protocol, except for upgrades of the hub's path."""

        def handle_websocket_upgrade(self) -> None:
            """Give the socket to picows, or refuse with 503 while too many handshakes run."""
            path, _, query = self.url.partition(b"?")
            if path != wanted:
                super().handle_websocket_upgrade()
                return
            if reception.is_busy:
                self.transport.write(_BUSY)
                self.transport.close()
                return
            self.connections.discard(self)
            self._unset_keepalive_if_required()
            head = [b"GET ", self.url, b" HTTP/1.1\r\n"]
            for name, value in self.scope["headers"]:
                head += [name, b": ", value, b"\r\n"]
            head.append(b"\r\n")
            address = self.client[0] if self.client else ""
            link = WebSocketLink(reception, address, query.decode("latin-1"), new_rate())
            socket = HubSocket(link, self.connections)
            socket.connection_made(self.transport)
            _feed(socket, b"".join(head))
            self.transport.set_protocol(socket)

        def _should_upgrade_to_ws(self) -> bool:
            return True

    return HubHttpProtocol


def _feed(socket: HubSocket, data: bytes) -> None:
    view = memoryview(data)
    while view:
        buffer = socket.get_buffer(len(view))
        count = min(len(buffer), len(view))
        buffer[:count] = view[:count]
        socket.buffer_updated(count)
        view = view[count:]
