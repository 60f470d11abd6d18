"""Several replicas in one test; a kind of deployment for each kind of what they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from hypha.bus.base import Bus, Target
from hypha.bus.memory import MemoryWire
from hypha.presence.base import LEASE_S, Presence
from hypha.presence.memory import MemorySpace
from tests.kit.clock import Clock


@dataclass
class Listener:
    """A replica that writes down what the bus brings, and has some clients."""

    replica: str
    clients: dict[tuple[str, str], int] = field(default_factory=dict)
    """Generations by workspace and id."""
    log: list[tuple[object, ...]] = field(default_factory=list)

    def frame(self, sender: str, target: Target, frame: bytes) -> bool:
        if self.clients.get((target.workspace, target.client_id)) != target.generation:
            return False
        self.log.append(("frame", target.client_id, frame))
        return True

    def refused(self, target: Target, label: bytes) -> None:
        self.log.append(("refused", target.client_id, label))

    def event(self, workspace: str, kind: str, frame: bytes) -> None:
        self.log.append(("event", workspace, kind, frame))

    def told(self, replica: str, kind: str, body: bytes) -> None:
        self.log.append(("told", replica, kind, body))

    def full(self, replica: str) -> None:
        self.log.append(("full", replica))

    def drained(self, replica: str) -> None:
        self.log.append(("drained", replica))

    def broken(self, replica: str) -> None:
        self.log.append(("broken", replica))


class Deployment(ABC):
    """Replicas by name, and time."""

    lease_s = LEASE_S

    @abstractmethod
    async def presence(self, replica: str) -> Presence:
        """The presence of one more replica, open."""

    @abstractmethod
    async def bus(self, receiver: Listener) -> Bus:
        """The bus of one more replica, open."""

    @abstractmethod
    async def lose(self, one: str, other: str) -> None:
        """Lose what is on its way between two replicas."""

    @abstractmethod
    async def pass_time(self, seconds: float) -> None:
        """Let time pass for the leases."""

    @abstractmethod
    async def settle(self) -> None:
        """Wait until all have heard what they are to hear."""

    @abstractmethod
    async def close(self) -> None:
        """End all replicas."""


class MemoryDeployment(Deployment):
    """Replicas in this process, with a clock of their own."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._space = MemorySpace(self.clock)
        self._wire = MemoryWire(self.clock)

    async def presence(self, replica: str) -> Presence:
        member = self._space.member(replica, f"facts of {replica}".encode())
        await member.open()
        return member

    async def bus(self, receiver: Listener) -> Bus:
        member = self._wire.member(receiver.replica, receiver)
        await member.open()
        return member

    async def lose(self, one: str, other: str) -> None:
        self._wire.lose(one, other)

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    async def settle(self) -> None:
        while self.clock.timers:
            self.clock.advance(0)

    async def close(self) -> None:
        pass
