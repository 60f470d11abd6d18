"""Clients of other replicas, as the hub of this one knows them.

A mirror is a `Client` that never opens: what is delivered to it waits in its outbox for no time, and goes
over the bus. So the router finds it like any other, checks and stamps what is sent to it, and notes who waits
for its answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypha.bus.base import HIGH_BYTES, Target
from hypha.errors import ServerFault
from hypha.hub.callers import Callers
from hypha.hub.client import Client, ClientPorts
from hypha.hub.connection import LinkKind
from hypha.hub.outbox import CallKey
from hypha.replicas.packed import unpack_user

if TYPE_CHECKING:
    from hypha.hub.hub import Hub
    from hypha.presence.entries import ClientEntry
    from hypha.wire.frames import Frame

Send = Callable[[Target, "Frame", CallKey | None, int], None]
"""Sends a frame of a kind for a client elsewhere; the key names a call that waits for an answer."""
Close = Callable[[Target, int, str], None]
"""Closes the link of a client elsewhere with a code and a reason."""
Read = Callable[[Target, bool], None]
"""Lets a client elsewhere be read again, or no more."""


@dataclass(slots=True)
class MirrorLink:
    """What stands for the link of a client elsewhere."""

    target: Target
    """Where it is, in which stay."""
    close_there: Close
    read_there: Read
    is_full: bool = False
    """Whether much waits for its replica."""
    kind: LinkKind = LinkKind.REPLICA
    acknowledges: bool = False
    peer_address: str = ""
    farewell_s: float | None = None

    def send_frame(self, frame: Frame) -> None:
        """Nothing is written to it, for it never opens."""
        raise ServerFault(f"{self.target.client_id} is at another replica.")

    def send_control(self, message: dict[str, Any]) -> None:
        """Its own replica says why it ends."""

    def send_ping(self, payload: bytes) -> None:
        """Its own replica looks after it."""

    def close(self, code: int, reason: str) -> None:
        """Close its link where it is."""
        self.close_there(self.target, code, reason)

    def abort(self) -> None:
        """Its own replica does that."""

    def pause_reading(self) -> None:
        """Let its own replica take nothing more from it."""
        self.read_there(self.target, False)

    def resume_reading(self) -> None:
        """Take back one `pause_reading`."""
        self.read_there(self.target, True)

    def buffered_bytes(self) -> int:
        """More than a receiver may have, while its replica does not keep up."""
        return HIGH_BYTES if self.is_full else 0


class Mirrors:
    """All clients of other replicas that are known here."""

    def __init__(self, hub: Hub, send: Send, close: Close, read: Read) -> None:
        self._hub = hub
        self._send = send
        self._close = close
        self._read = read
        self._callers = Callers(hub.clients, hub.stats)
        self._ports = ClientPorts(hub.time, self._pass_on, lambda client: None, hub.unanswered)
        self.full: set[str] = set()
        """Replicas for which much waits."""

    def put(self, entry: ClientEntry) -> Client:
        """Know a client elsewhere, in this stay or a later one of which was heard already."""
        address = f"{entry.workspace}/{entry.client_id}"
        known = self._hub.clients.mirror(address)
        user = unpack_user(entry.facts)
        target = Target(entry.replica, entry.workspace, entry.client_id, entry.generation)
        if known is not None:
            present = target_of(known)
            if present.generation > entry.generation:
                return known
            if present == target or user.incarnation == known.user.incarnation:
                known.act_as(user)
                if present != target:
                    self._retarget(known, target)
                return known
            self.end(known)
        mirror = Client(self._ports, entry.workspace, entry.client_id, user, None)
        mirror.is_mirror = True
        mirror.attach(MirrorLink(target, self._close, self._read, entry.replica in self.full))
        self._hub.clients.add_mirror(mirror)
        return mirror

    def _retarget(self, mirror: Client, target: Target) -> None:
        """It has moved to another replica, where it may still answer what it was called before."""
        link = mirror.connection
        assert isinstance(link, MirrorLink)
        link.target, link.is_full = target, target.replica in self.full
        self.doubt(mirror)

    def doubt(self, mirror: Client) -> None:
        """End its calls that are not answered soon, nor give a sign of life."""
        if mirror.pending:
            self._hub.waiting.doubt(mirror, self._hub.time(), set())
            self._hub.pulse.wake()

    def end(self, mirror: Client) -> None:
        """Forget it; those who wait for its answers are told that they may have lost them."""
        if mirror.ended:
            return
        mirror.end()
        hub = self._hub
        hub.clients.hide(mirror)
        hub.flow.forget(mirror)
        self.tell_unknown(mirror)
        hub.waiting.forget(mirror)
        hub.border.parcels.forget(mirror)
        hub.unanswered.forget(mirror)
        hub.peers.forget(mirror)

    def of_replica(self, replica: str) -> list[Client]:
        """All that are there."""
        return [mirror for mirror in self._hub.clients.mirrors() if target_of(mirror).replica == replica]

    def tell_unknown(self, mirror: Client) -> None:
        """Nobody can know what becomes of the calls that it was sent."""
        calls, mirror.pending = mirror.pending, {}
        for key in calls:
            self._callers.tell_unknown(mirror, key)
        self._callers.tell_elsewhere(mirror, calls)

    def refused(self, mirror: Client, caller: str, session: str) -> None:
        """A call that was sent has not been seen by it, that is certain."""
        for key in mirror.pending:
            if key[1] == session and key[0].address == caller:
                del mirror.pending[key]
                self._callers.tell_undelivered(mirror, key)
                return

    def _pass_on(self, mirror: Client) -> None:
        """Send what was just put into its outbox."""
        outbox = mirror.outbox
        frame, kind, key = outbox.entries.pop()
        outbox.end -= 1
        outbox.bytes -= len(frame)
        self._send(target_of(mirror), frame, key, kind)


def target_of(mirror: Client) -> Target:
    """Where a mirror's client is."""
    link = mirror.connection
    assert isinstance(link, MirrorLink)
    return link.target
