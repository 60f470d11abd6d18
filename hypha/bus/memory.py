"""The bus of replicas in one process: of a server that is alone, or of several in a test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from hypha.bus.base import HIGH_BYTES, Bus, Receiver, Target
from hypha.clock import Clock

_Give = Callable[[Receiver], object]
"""Hands something over; False: it was not taken."""


@dataclass(slots=True, eq=False)
class _Way:
    """What is on its way from one replica to another; it arrives together."""

    parcels: list[tuple[_Give, _Give | None]] = field(default_factory=list)
    """How each is handed over, and how it is given back."""
    size_bytes: int = 0
    is_full: bool = False


class MemoryWire:
    """What connects the replicas.

    Args:
        clock: the event loop, or a clock that a test moves.
        delay_s: how long everything is on its way.
    """

    def __init__(self, clock: Clock, delay_s: float = 0.0) -> None:
        self._clock = clock
        self._delay_s = delay_s
        self._members: dict[str, MemoryBus] = {}
        """Those that can be reached, by the id of their replica."""
        self._listeners: dict[str, set[MemoryBus]] = {}
        """By workspace; no set is empty."""
        self._ways: dict[tuple[str, str], _Way] = {}
        """By sender and receiver; those on which nothing is are not in it."""

    def member(self, replica: str, receiver: Receiver) -> MemoryBus:
        """The bus of one replica."""
        return MemoryBus(self, replica, receiver)

    def enter(self, member: MemoryBus) -> None:
        """See `Bus.open`."""
        self._members[member.replica] = member

    def leave(self, member: MemoryBus) -> None:
        """See `Bus.close`."""
        if self._members.get(member.replica) is member:
            del self._members[member.replica]
        for workspace in list(member.workspaces):
            self.unlisten(member, workspace)

    def listen(self, member: MemoryBus, workspace: str) -> None:
        """See `Bus.listen`."""
        member.workspaces.add(workspace)
        self._listeners.setdefault(workspace, set()).add(member)

    def unlisten(self, member: MemoryBus, workspace: str) -> None:
        """See `Bus.unlisten`."""
        member.workspaces.discard(workspace)
        listeners = self._listeners.get(workspace)
        if listeners is not None:
            listeners.discard(member)
            if not listeners:
                del self._listeners[workspace]

    def listeners(self, workspace: str) -> list[str]:
        """The replicas that listen to a workspace."""
        return [member.replica for member in self._listeners.get(workspace, ())]

    def others(self) -> list[str]:
        """All replicas that can be reached."""
        return list(self._members)

    def post(
        self, sender: MemoryBus, replica: str, size_bytes: int, give: _Give, give_back: _Give | None = None
    ) -> None:
        """Put something on its way."""
        key = sender.replica, replica
        way = self._ways.get(key)
        if way is None:
            way = self._ways[key] = _Way()
            self._clock.call_later(self._delay_s, self._arrive, sender, replica, way)
        way.parcels.append((give, give_back))
        way.size_bytes += size_bytes
        if way.size_bytes > HIGH_BYTES and not way.is_full:
            way.is_full = True
            sender.receiver.full(replica)

    def _arrive(self, sender: MemoryBus, replica: str, way: _Way) -> None:
        """Hand over what is on a way, unless it was lost."""
        if self._ways.get((sender.replica, replica)) is not way:
            return
        del self._ways[sender.replica, replica]
        member = self._members.get(replica)
        for give, give_back in way.parcels:
            is_taken = member is not None and give(member.receiver) is not False
            if is_taken or give_back is None:
                continue
            if member is None:
                give_back(sender.receiver)
            else:
                self.post(member, sender.replica, 0, give_back)
        if way.is_full:
            sender.receiver.drained(replica)

    def forget(self, sender: MemoryBus, replica: str) -> None:
        """See `Bus.forget`."""
        way = self._ways.pop((sender.replica, replica), None) or _Way()
        backs = [give_back for _, give_back in way.parcels if give_back is not None]
        self._clock.call_later(0, _end, sender.receiver, replica, backs, way.is_full)

    def lose(self, one: str, other: str) -> None:
        """Lose what is on its way between two replicas, as a network does."""
        for sender, receiver in ((one, other), (other, one)):
            way = self._ways.pop((sender, receiver), None) or _Way()
            member = self._members.get(sender)
            if member is not None:
                self._clock.call_later(0, _end, member.receiver, receiver, (), way.is_full)


def _end(receiver: Receiver, replica: str, backs: Iterable[_Give], was_full: bool) -> None:
    """Tell a sender that what was on its way is there no more."""
    for give_back in backs:
        give_back(receiver)
    receiver.broken(replica)
    if was_full:
        receiver.drained(replica)


class MemoryBus(Bus):
    """One replica on a `MemoryWire`."""

    def __init__(self, wire: MemoryWire, replica: str, receiver: Receiver) -> None:
        super().__init__(replica, receiver)
        self._wire = wire
        self.workspaces: set[str] = set()
        """Those to which it listens."""

    async def open(self) -> None:
        """See `Bus`."""
        self._wire.enter(self)

    async def renew(self) -> None:
        """See `Bus`."""
        self._wire.enter(self)

    async def close(self) -> None:
        """See `Bus`."""
        self._wire.leave(self)

    def send(self, target: Target, frame: bytes, label: bytes = b"") -> None:
        """See `Bus`."""
        self._wire.post(
            self,
            target.replica,
            len(frame),
            lambda there: there.frame(self.replica, target, frame),
            lambda here: here.refused(target, label),
        )

    def publish(self, workspace: str, kind: str, frame: bytes) -> None:
        """See `Bus`."""
        for replica in self._wire.listeners(workspace):
            if replica != self.replica:
                self._wire.post(self, replica, len(frame), lambda there: there.event(workspace, kind, frame))

    async def listen(self, workspace: str) -> None:
        """See `Bus`."""
        self._wire.listen(self, workspace)

    def unlisten(self, workspace: str) -> None:
        """See `Bus`."""
        self._wire.unlisten(self, workspace)

    def tell(self, replica: str | None, kind: str, body: bytes) -> None:
        """See `Bus`."""
        for other in self._wire.others() if replica is None else [replica]:
            if other != self.replica:
                self._wire.post(self, other, len(body), lambda there: there.told(self.replica, kind, body))

    def forget(self, replica: str) -> None:
        """See `Bus`."""
        self._wire.forget(self, replica)
