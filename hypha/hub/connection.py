"""What the hub asks of a transport: one live link to a client."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol

from hypha.wire.frames import Frame


class LinkKind(StrEnum):
    """How a client is connected, as callees and administrators read it (`connection_type`)."""

    WEBSOCKET = "websocket"
    HTTP_STREAM = "http_streaming"
    """Its client has nothing to send while it is idle."""
    INNER = "inner"
    """A client inside the server's own process."""
    REPLICA = "replica"
    """A client at another replica."""


class Connection(Protocol):
    """One live transport of a client; a client may resume on another one."""

    kind: LinkKind
    acknowledges: bool
    """Whether the transport can prove arrival by PING and PONG."""
    peer_address: str
    """The client's network address; empty inside the server."""
    farewell_s: float | None
    """The round trip time of the link (s) once its client has said goodbye on it; None before, or where the
    transport cannot tell."""

    def send_frame(self, frame: Frame) -> None:
        """Write one binary frame."""

    def send_control(self, message: dict[str, Any]) -> None:
        """Write one control message (JSON text, or a record of an HTTP stream)."""

    def send_ping(self, payload: bytes) -> None:
        """Ask for a PONG with this payload; only where `acknowledges`."""

    def close(self, code: int, reason: str) -> None:
        """Flush and end the link with a close code."""

    def abort(self) -> None:
        """End the link at once, without a close frame."""

    def pause_reading(self) -> None:
        """Take nothing more from the client until each `pause_reading` is taken back."""

    def resume_reading(self) -> None:
        """Take back one `pause_reading`."""

    def buffered_bytes(self) -> int:
        """Bytes accepted for sending that the operating system hasn't taken yet."""
