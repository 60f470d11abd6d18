"""How much of which limit a caller uses, for the caller to see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypha.auth.users import Context
    from hypha.hub.rates import Rates
    from hypha.registry.index import Registry
    from hypha.settings import Settings
    from hypha.workspaces.lifecycle import Workspaces
    from hypha.workspaces.membership import Members


@dataclass(frozen=True, slots=True)
class LimitsInUse:
    """Reads the counters of connections, clients, services and rates."""

    settings: Settings
    members: Members
    registry: Registry
    rates: Rates
    workspaces: Workspaces

    async def of(self, context: Context) -> dict[str, Any]:
        """`{connections, clients, services}` as `{used, limit}`, the longest token life, and rates.

        `kept` is what the workspace keeps on disk: `{used, limit, used_bytes, limit_bytes}` by kind.
        """
        settings, members, workspace = self.settings, self.members, context.workspace
        used = {
            "connections": (members.connections_of(context.user.id), settings.max_connections_per_user),
            "clients": (members.clients_in(workspace), settings.max_clients_per_workspace),
            "services": (self.registry.count_of_workspace(workspace), settings.max_services_per_workspace),
            "service_bytes": (
                self.registry.bytes_of_workspace(workspace),
                settings.max_service_bytes_per_workspace,
            ),
        }
        return {
            **{name: {"used": count, "limit": limit} for name, (count, limit) in used.items()},
            "token_life_s": settings.max_token_life_time_s,
            "rates": self.rates.usage(context.user.id, workspace),
            "kept": await self.workspaces.kept(workspace),
        }
