"""What the hub gives to the peers inside the server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypha.clock import Clock
    from hypha.errors import MalformedFrame
    from hypha.hub.client import Client
    from hypha.hub.clients import Clients
    from hypha.hub.large_answers import LargeAnswers
    from hypha.hub.traffic import Traffic
    from hypha.hub.upcalls import Upcalls
    from hypha.wire.chunks import MessageCaches
    from hypha.wire.frames import Buffer


@dataclass(frozen=True, slots=True)
class PeerPorts:
    """How a peer inside the server reaches clients and is reached by them."""

    clients: Clients
    """Whom it may call."""
    clock: Clock
    """Time and timers."""
    upcalls: Upcalls
    """The layers above the hub."""
    traffic: Traffic
    """Where it counts the frames that come to it."""
    cache_rooms: MessageCaches
    """Room for large messages that come in chunks."""
    large_answers: LargeAnswers
    """Room for large answers to clients."""
    refuse_malformed: Callable[[Client, MalformedFrame], None]
    """Drops a frame of a client that breaks the wire format; its caller is told."""
    forward: Callable[[Client, Client, dict[str, Any], Buffer, int], None]
    """Passes on a frame from one client to another, with its envelope and the length of that."""
