"""Several replicas in one test; a kind of deployment for each kind of what they share."""

from __future__ import annotations

from abc import ABC, abstractmethod

from hypha.presence.base import LEASE_S, Presence
from hypha.presence.memory import MemorySpace
from tests.kit.clock import Clock


class Deployment(ABC):
    """Replicas by name, and time."""

    lease_s = LEASE_S

    @abstractmethod
    async def presence(self, replica: str) -> Presence:
        """The presence of one more replica, open."""

    @abstractmethod
    async def pass_time(self, seconds: float) -> None:
        """Let time pass for the leases."""

    @abstractmethod
    async def settle(self) -> None:
        """Wait until all have heard what they are to hear."""


class MemoryDeployment(Deployment):
    """Replicas in this process, with a clock of their own."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._space = MemorySpace(self.clock)

    async def presence(self, replica: str) -> Presence:
        member = self._space.member(replica, f"facts of {replica}".encode())
        await member.open()
        return member

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    async def settle(self) -> None:
        self.clock.advance(0)
