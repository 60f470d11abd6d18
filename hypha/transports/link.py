"""What every transport does alike with its client; the transports differ in how bytes travel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from hypha.hub.connection import LinkKind
from hypha.transports.ratelimit import FrameRate
from hypha.wire.frames import Buffer, Frame

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.transports.reception import Reception

_SAME_TOKEN_S = 1.0


class Link(ABC):
    """One live link of a client, from its first message to its end.

    Args:
        rate: what slows its frames before its user and workspace are known; None for nothing.
    """

    kind: LinkKind
    acknowledges = False
    farewell_s: float | None = None
    """See `Connection` for these."""

    def __init__(self, reception: Reception, peer_address: str, rate: FrameRate | None = None) -> None:
        self.reception = reception
        self.hub = reception.hub
        self.peer_address = peer_address
        self.rate = rate
        self.client: Client | None = None
        """Whose link it is; None before it is admitted. The client may have a newer one meanwhile."""
        self._token, self._token_made = "", -_SAME_TOKEN_S - 1
        """The last reconnection token, and when it was made (s, loop time)."""

    @abstractmethod
    def send_frame(self, frame: Frame) -> None:
        """Send one binary frame."""

    @abstractmethod
    def send_control(self, message: dict[str, Any]) -> None:
        """Send one control message."""

    @abstractmethod
    def send_ping(self, payload: bytes) -> None:
        """Ask for proof of arrival, where the transport can show it."""

    @abstractmethod
    def close(self, code: int, reason: str) -> None:
        """End the link after what is on its way."""

    @abstractmethod
    def abort(self) -> None:
        """End the link at once."""

    @abstractmethod
    def pause_reading(self) -> None:
        """Read nothing more until as many calls of `resume_reading`."""

    @abstractmethod
    def resume_reading(self) -> None:
        """Take back one `pause_reading`."""

    @abstractmethod
    def buffered_bytes(self) -> int:
        """Bytes accepted for sending that haven't been taken from the link yet."""

    def admitted(self, client: Client) -> None:
        """From now on this link is the client's: tell it who it is."""
        self.client = client
        self.rate = self.reception.rate_of(client, self.rate)
        self.send_control(self.reception.connection_info(client))

    def take_frame(self, client: Client, data: Buffer) -> None:
        """Route one whole frame of the client."""
        client.last_received = self.hub.time()
        if not client.is_open and client.connection is self:
            self.hub.resume.open(client)
        self.hub.route(client, data)
        if self.rate is not None:
            self.rate.spend(self, len(data))

    def take_control(self, client: Client, kind: str | None) -> None:
        """Answer a control message of this `type`; unknown ones are ignored."""
        client.last_received = self.hub.time()
        if kind == "ping":
            self.send_control({"type": "pong"})
        elif kind == "refresh_token":
            token = self._reconnection_token(client)
            self.send_control({"type": "reconnection_token", "reconnection_token": token})
        self.pause_if_full(client)

    def _reconnection_token(self, client: Client) -> str:
        """A fresh token; who asks again within a second gets the same, because signing one takes its time."""
        now = self.hub.time()
        if now - self._token_made > _SAME_TOKEN_S:
            self._token, self._token_made = self.reception.reconnection_token(client), now
        return self._token

    def pause_if_full(self, client: Client) -> None:
        """Read nothing more of a client that asks and does not take the answers, until it does."""
        if client.is_choked and client.connection is self:
            self.hub.flow.pause(client, client)
