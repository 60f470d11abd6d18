"""The hub: builds the parts that move frames between clients, and lets clients come and go."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from hypha.hub.acknowledgement import Acknowledgement
from hypha.hub.border import Border
from hypha.hub.callers import Callers
from hypha.hub.client import MAX_ALL_PENDING, Client, ClientPorts
from hypha.hub.clients import Clients
from hypha.hub.ending import Ending
from hypha.hub.events import Events
from hypha.hub.flow import Flow
from hypha.hub.large_answers import LargeAnswers
from hypha.hub.leftovers import Leftovers
from hypha.hub.liveness import Liveness
from hypha.hub.peers import Peers
from hypha.hub.ports import PeerPorts
from hypha.hub.pulse import Pulse
from hypha.hub.resume import Resume
from hypha.hub.router import Router
from hypha.hub.shares import Shares
from hypha.hub.slow_readers import SlowReaders
from hypha.hub.stats import HubStats
from hypha.hub.traffic import Traffic
from hypha.hub.upcalls import Upcalls
from hypha.hub.waiting import Waiting
from hypha.wire.chunks import MessageCaches

if TYPE_CHECKING:
    from hypha.auth.users import User
    from hypha.clock import Clock
    from hypha.hub.connection import Connection
    from hypha.settings import Settings


@dataclass(frozen=True, slots=True)
class HubLimits:
    """How long and how much the hub waits."""

    hold_time_s: float
    """How long calls to a held client wait for it."""
    window_s: float
    """How long its state is kept."""
    slow_reader_deadline_s: float
    """A full receiver that takes no byte for so long is closed."""
    foreign_pause_limit_s: float
    """How long a receiver may pause a sender of another workspace."""
    held_limit_bytes: int
    """How much is kept for a held client."""
    ack_interval_s: float
    """Least time between two acknowledging PINGs to one client."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """What the operator has set."""
        return cls(
            settings.hold_time_s,
            settings.resume_window_s,
            settings.slow_reader_deadline_s,
            settings.foreign_pause_limit_s,
            settings.held_limit_bytes,
            settings.ack_interval_s,
        )


class Hub:
    """Clients of one server process and the routing between them.

    Args:
        manager_id: id of the server's own endpoint, the same over restarts.
        clock: that of the event loop, unless a test gives another.
    """

    def __init__(self, manager_id: str, limits: HubLimits, clock: Clock | None = None) -> None:
        self.manager_id = manager_id
        self.clock = clock = clock if clock is not None else asyncio.get_running_loop()
        self.time = clock.time
        """Loop time (s)."""
        self.stats = stats = HubStats()
        self.traffic = Traffic()
        self.upcalls = upcalls = Upcalls()
        self.clients = clients = Clients()
        self.peers = peers = Peers(manager_id)
        self.leftovers = leftovers = Leftovers(clock)
        self.unanswered = Shares(MAX_ALL_PENDING)
        """How many calls clients owe answers to, together."""
        self.cache_rooms = MessageCaches(leftovers.add)
        """Room for what clients send to peers of the server in chunks."""
        self.large_answers = LargeAnswers()
        """Room for what peers of the server send to clients in chunks."""
        self.pulse = pulse = Pulse(clock, limits.ack_interval_s)
        self.flow = flow = Flow(clock, pulse, stats)
        self.acknowledgement = proof = Acknowledgement(clock, pulse, flow, stats)
        self.events = events = Events(flow, stats, upcalls)
        self.waiting = waiting = Waiting(flow, callers := Callers(clients, stats), limits.held_limit_bytes)
        self.border = border = Border(peers, upcalls, clock)
        self._ending = ending = Ending(clients, callers, flow, leftovers, upcalls, stats)
        for part in (peers, border.parcels, events, waiting, self.unanswered):
            ending.add(part)
        times = limits.hold_time_s, limits.window_s
        self.resume = resume = Resume(clock, pulse, flow, proof, waiting, ending, stats, *times)
        times = limits.slow_reader_deadline_s, limits.foreign_pause_limit_s
        slow_readers = SlowReaders(clock, pulse, flow, resume, ending, stats, *times)
        for sweep in (proof.sweep, slow_readers.sweep, resume.sweep):
            pulse.add(sweep)
        self.liveness = Liveness(clock, clients, self.unanswered, peers.expire)
        self.router = Router(clients, peers, border, flow, events, upcalls, stats, self.traffic, clock)
        self.route = self.router.route
        """Takes each frame of a client; held here for the transports, which call it for every frame."""
        self._ports = ClientPorts(clock.time, waiting.frame_waits, proof.written, self.unanswered)

    @property
    def peer_ports(self) -> PeerPorts:
        """What a peer inside the server gets."""
        return PeerPorts(
            self.clients,
            self.clock,
            self.upcalls,
            self.traffic,
            self.cache_rooms,
            self.large_answers,
            self.router.refuse_malformed,
            self.router.forward,
        )

    def client(self, workspace: str, client_id: str) -> Client | None:
        """The client with this id, live or held; the server's own guest included."""
        return self.clients.find(f"{workspace}/{client_id}")

    def join(
        self, workspace: str, client_id: str, user: User, token: str | None, connection: Connection
    ) -> Client:
        """Make a new client and give it its connection; an older one of that id must be gone."""
        client = Client(self._ports, workspace, client_id, user, token)
        self.clients.add(client, as_guest=self.peers.is_taken(client.address))
        self.stats.connections_total += 1
        self.resume.attach(client, connection)
        return client

    def rejoin(self, client: Client, connection: Connection) -> None:
        """Resume a client on a new connection."""
        self.stats.connections_total += 1
        self.resume.attach(client, connection)

    def end(self, client: Client, why: str) -> None:
        """End a client's state now: services go, callers are told, events are sent."""
        self._ending.end(client, why)

    def retire(self, client: Client) -> None:
        """Send no more calls to a client that is one of several, and is about to stop."""
        self.clients.retire(client)

    def release(self, client: Client) -> None:
        """Forget a client that goes on at another replica, without a word to anybody."""
        self._ending.release(client)

    def kick(self, client: Client, code: int, reason: str) -> None:
        """Close a client's link with a code and end its state."""
        connection = client.connection
        if connection is not None:
            connection.send_control({"type": "error", "message": reason})
            connection.close(code, reason)
        self._ending.end(client, reason)

    def stop(self) -> None:
        """Cancel the timers, let threads end."""
        self.large_answers.stop()
        self.pulse.stop()
        self.liveness.stop()
