"""What every implementation of the bus does; all are held against tests/contract/test_bus.py.

Sending is *posted*: it costs no round trip, nobody waits for it, and what one turn of the loop sends may go
together. A client at another replica is addressed with the generation of its stay there, as the presence
knows it; whether that client is still there says the replica, not the bus.

Of each frame that was sent exactly one of these happens, and none is handed over twice:

- the other replica gets it (`Receiver.frame`) and takes it;
- it comes back (`Receiver.refused`): the client has not seen it, that is certain;
- `Receiver.broken` is called after it was sent: it may have arrived or not.

Frames, and what is told, get from one replica to another in the order of their sending; so do the events of
one workspace.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

HIGH_BYTES = 1024 * 1024
"""When so much waits for another replica, those who send to it should pause."""
LOW_BYTES = 256 * 1024
"""When no more than that does, they may go on."""


@dataclass(frozen=True, slots=True)
class Target:
    """A client at another replica, in the stay of that generation."""

    replica: str
    workspace: str
    client_id: str
    generation: int


class Receiver(Protocol):
    """What a replica does with what comes; called by the bus, in a turn of the event loop of its own."""

    def frame(self, sender: str, target: Target, frame: bytes) -> bool:
        """A frame for a client of this replica; False if it is not here with this generation."""

    def refused(self, target: Target, label: bytes) -> None:
        """A frame that this replica sent was not delivered; `label` is what was sent with it."""

    def event(self, workspace: str, kind: str, frame: bytes) -> None:
        """An event of a workspace to which this replica listens."""

    def told(self, replica: str, kind: str, body: bytes) -> None:
        """Another replica tells something."""

    def full(self, replica: str) -> None:
        """More than `HIGH_BYTES` wait for a replica. May be called inside of `send`."""

    def drained(self, replica: str) -> None:
        """They are fewer than `LOW_BYTES` again, or nothing is sent there any more."""

    def broken(self, replica: str) -> None:
        """What was sent to a replica so far, and was not refused, may have arrived there or not."""


class Bus(ABC):
    """One replica among the others.

    What is awaited raises `BackendUnavailable` while what the replicas share cannot be reached.
    """

    def __init__(self, replica: str, receiver: Receiver) -> None:
        self.replica = replica
        """The id of this replica, which no other has."""
        self.receiver = receiver
        """Whom the bus tells of what comes."""

    @abstractmethod
    async def open(self) -> None:
        """Be reached by others from now on."""

    @abstractmethod
    async def renew(self) -> None:
        """Be reached, also if what the replicas share has forgotten it; what was on its way is lost then."""

    @abstractmethod
    async def close(self) -> None:
        """Be no longer reached: what comes is refused, and nothing is received."""

    @abstractmethod
    def send(self, target: Target, frame: bytes, label: bytes = b"") -> None:
        """Send a frame to a client at another replica.

        Args:
            label: says what to do when the frame is refused; it is given back then.
        """

    @abstractmethod
    def publish(self, workspace: str, kind: str, frame: bytes) -> None:
        """Send an event to all other replicas that listen to a workspace."""

    @abstractmethod
    async def listen(self, workspace: str) -> None:
        """Receive the events of a workspace that others publish from now on."""

    @abstractmethod
    def unlisten(self, workspace: str) -> None:
        """Receive no more of them."""

    @abstractmethod
    def tell(self, replica: str | None, kind: str, body: bytes) -> None:
        """Tell something to another replica; None: to all others. Nobody hears if it was not there."""

    @abstractmethod
    def forget(self, replica: str) -> None:
        """A replica has ended: what still waits for it comes back, and for the rest `broken` is called."""
