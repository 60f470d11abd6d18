"""What the server tells about its load: for `/health` and for the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypha.observe.metrics import Reading, counts_of

if TYPE_CHECKING:
    from hypha.hub.hub import Hub
    from hypha.registry.index import Registry


def connections_of(hub: Hub) -> dict[str, int]:
    """Connections that are there, held and past, with the names that `/health` uses."""
    stats = hub.stats
    return {
        "active": sum(1 for _ in hub.live_clients()),
        "held": hub.resume.held,
        "held_frames": hub.resume.held_frames,
        "total_created": stats.connections_total,
        "total_closed": stats.connections_closed,
    }


def reading_of(hub: Hub, registry: Registry) -> Reading:
    """Counters and levels, with the names that existing dashboards use."""
    stats = hub.stats
    live = sum(1 for _ in hub.live_clients())
    return Reading(
        values={
            "websocket_connections": live,
            "websocket_connections_established": stats.connections_total,
            "redis_eventbus_local_clients": len(hub.clients),
            "rpc_call": stats.frames_in,
        },
        counts=counts_of(stats, "hub"),
        levels={
            "hub_clients_live": live,
            "hub_clients_held": hub.resume.held,
            "hub_frames_held": hub.resume.held_frames,
            "registry_services": len(registry),
        },
    )
