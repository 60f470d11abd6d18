"""What the hub asks of a transport: one live link to a client."""

from __future__ import annotations

from typing import Any, Protocol

from hypha.wire.frames import Sealed


class Connection(Protocol):
    """One live transport of a client; a client may resume on another one.

    `acknowledges` tells whether the transport can prove arrival by PING and PONG. `farewell_s` is the
    round trip time of the link in seconds once its client has said goodbye on it; None before, or where
    the transport cannot tell.
    """

    farewell_s: float | None
    kind: str
    acknowledges: bool
    peer_address: str

    def send_frame(self, frame: Sealed) -> None:
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
