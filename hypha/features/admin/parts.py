"""What the functions of administrators work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypha.auth.guard import Guard
    from hypha.auth.tokens import TokenAuthority
    from hypha.hub.hub import Hub
    from hypha.hub.rates import Rates
    from hypha.registry.index import Registry
    from hypha.settings import Settings
    from hypha.workspaces.lifecycle import Workspaces
    from hypha.workspaces.membership import Members


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the core that administrators look into."""

    settings: Settings
    server_id: str
    hub: Hub
    registry: Registry
    members: Members
    workspaces: Workspaces
    guard: Guard
    tokens: TokenAuthority
    rates: Rates
