"""WebSockets that are not the hub's: those of applications that clients serve."""

from __future__ import annotations

from collections.abc import Callable

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class AppSocket(WebSocketsSansIOProtocol):
    """uvicorn's protocol, which says when its socket is gone."""

    on_lost: Callable[[], None] | None = None
    """Gives back the socket's place; set by who hands the socket over."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        if self.on_lost is not None:
            self.on_lost()
        super().connection_lost(exc)
