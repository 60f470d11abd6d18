"""What the server tells about its load: for `/health` and for the metrics."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hypha.observe.metrics import Reading, counts_of

if TYPE_CHECKING:
    from hypha.hub.hub import Hub
    from hypha.registry.index import Registry

LOAD_WITHIN_S = 60.0
MAX_LOOKS = 100


def connections_of(hub: Hub) -> dict[str, int]:
    """Connections that are there, held and past, with the names that `/health` uses."""
    stats = hub.stats
    return {
        "active": sum(1 for _ in hub.clients.live()),
        "held": hub.resume.held,
        "held_frames": hub.resume.held_frames,
        "total_created": stats.connections_total,
        "total_closed": stats.connections_closed,
    }


class Load:
    """Frames per second, counted from one look to the next."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._looks: deque[tuple[float, int]] = deque([(hub.time(), hub.traffic.frames)])

    def look(self) -> float:
        """The rate since the first look of the last minute, or since the one before if that is longer ago."""
        now, frames = self._hub.time(), self._hub.traffic.frames
        while len(self._looks) > 1 and self._looks[1][0] <= now - LOAD_WITHIN_S:
            self._looks.popleft()
        while len(self._looks) >= MAX_LOOKS:
            self._looks.popleft()
        since, before = self._looks[0]
        self._looks.append((now, frames))
        return (frames - before) / (now - since) if now > since else 0.0


def reading_of(hub: Hub, registry: Registry, load: Load) -> Reading:
    """Counters and levels, with the names that existing dashboards use."""
    stats = hub.stats
    live = sum(1 for _ in hub.clients.live())
    return Reading(
        values={
            "websocket_connections": live,
            "websocket_connections_established": stats.connections_total,
            "redis_eventbus_local_clients": len(hub.clients),
            "rpc_call": hub.traffic.frames,
            "client_requests": hub.traffic.frames,
            "client_load_current": load.look(),
            "redis_rpc_connections_created": stats.connections_total,
            "redis_rpc_connections_closed": stats.connections_closed,
            "redis_rpc_active_connections": live,
        },
        counts={
            **counts_of(stats, "hub"),
            "hub_frames_in": hub.traffic.frames,
            "hub_frames_to_server": hub.traffic.to_server,
        },
        levels={
            "hub_clients_live": live,
            "hub_clients_held": hub.resume.held,
            "hub_frames_held": hub.resume.held_frames,
            "registry_services": len(registry),
        },
    )
