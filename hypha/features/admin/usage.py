"""Who uses how much of the server, and the limits."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypha.features.admin.parts import Parts


def resource_usage(parts: Parts) -> dict[str, Any]:
    """Connections per user and workspace, services per client, rates in force, limits."""
    services: Counter[str] = Counter()
    for client in parts.hub.clients.all():
        count = len(parts.registry.of_client(client.workspace, client.client_id))
        if count:
            services[client.address] = count
    settings = parts.settings
    return {
        "connections_per_user": parts.members.per_user(),
        "connections_per_workspace": parts.members.per_workspace(),
        "services_per_client": dict(services),
        "active_rate_limiters": len(parts.rates),
        "limits": {
            "max_connections_per_user": settings.max_connections_per_user,
            "max_clients_per_workspace": settings.max_clients_per_workspace,
            "max_services_per_client": settings.max_services_per_client,
            "max_services_per_workspace": settings.max_services_per_workspace,
            "user_call_rate_limit": settings.user_call_rate_limit,
            "user_byte_rate_limit": settings.user_byte_rate_limit,
            "workspace_call_rate_limit": settings.workspace_call_rate_limit,
            "workspace_byte_rate_limit": settings.workspace_byte_rate_limit,
            "max_workspaces_per_user": settings.max_workspaces_per_user,
            "max_concurrent_connections": settings.max_concurrent_connections,
            "max_token_life_time_s": settings.max_token_life_time_s,
            "ws_msg_rate_limit": settings.ws_msg_rate_limit,
            "http_rate_limit": settings.http_rate_limit,
            "http_authenticated_rate_limit": settings.http_authenticated_rate_limit,
        },
    }


def metrics(parts: Parts) -> dict[str, Any]:
    """Counters and levels of this server, as plain numbers."""
    hub = parts.hub
    counters = {name: getattr(hub.stats, name) for name in hub.stats.__slots__}
    return {
        **counters,
        "frames_in": hub.traffic.frames,
        "frames_to_server": hub.traffic.to_server,
        "clients_live": sum(1 for _ in hub.clients.live()),
        "clients_held": hub.resume.held,
        "workspaces_loaded": len(parts.workspaces.residents),
        "services": len(parts.registry),
        "audit_events_not_listed": parts.guard.audit.not_listed,
    }
