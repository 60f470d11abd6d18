"""What the manager's functions work with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypha.auth.guard import Guard
from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.background import Background
from hypha.errors import PermissionDenied
from hypha.registry.balance import Peer, Selection
from hypha.registry.directory import Directory
from hypha.registry.index import Registry
from hypha.registry.query import Listing
from hypha.registry.registering import Registering
from hypha.registry.roster import Roster
from hypha.registry.search import Search
from hypha.workspaces.app_ids import AppIds

if TYPE_CHECKING:
    from hypha.auth.tokens import TokenAuthority
    from hypha.hub.client import Client
    from hypha.hub.hub import Hub
    from hypha.settings import Settings
    from hypha.workspaces.lifecycle import Workspaces
    from hypha.workspaces.tenancy import Tenancy


async def _no_limits(context: Context) -> dict[str, Any]:
    return {}


async def _keep_nothing(client: Client) -> None:
    return


@dataclass(slots=True)
class Parts:
    """The server's parts, as seen by the workspace manager.

    `peer` is its own end on the wire; `limits_of` tells a caller how much of which limit is used;
    `keep_subscriptions` stores what a client subscribed to, so that a restart keeps it.
    """

    hub: Hub
    peer: Peer
    registry: Registry
    selection: Selection
    directory: Directory
    tenancy: Tenancy
    tokens: TokenAuthority
    settings: Settings
    background: Background = field(default_factory=Background)
    guard: Guard = field(default_factory=Guard)
    limits_of: Callable[[Context], Awaitable[dict[str, Any]]] = _no_limits
    keep_subscriptions: Callable[[Client], Awaitable[None]] = _keep_nothing
    registering: Registering = field(init=False)
    listing: Listing = field(init=False)
    search: Search = field(init=False)
    app_ids: AppIds = field(init=False)

    def __post_init__(self) -> None:
        self.registering = Registering(self.registry, self.hub, self.settings)
        self.listing = Listing(self.selection.sources)
        self.search = Search(self.listing)
        applications = self.selection.sources.applications
        self.app_ids = AppIds(
            self.registering, self.registry, applications, self.hub, self.peer, self.background
        )

    @property
    def roster(self) -> Roster:
        """Who is connected."""
        return self.selection.roster

    @property
    def workspaces(self) -> Workspaces:
        """The workspaces of the deployment."""
        return self.tenancy.workspaces


class ManagerFunctions:
    """Base of the groups of functions that make up the manager."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def _level(self, context: Context, workspace: str) -> Level:
        """The caller's level in any workspace: by its credential, or because the user owns it."""
        level = context.level(workspace)
        if level is Level.ADMIN or workspace == context.workspace:
            return level
        return max(level, await self._parts.workspaces.level_in(context.user, workspace))

    async def _require(self, level: Level, workspace: str, context: Context) -> None:
        """Raise PermissionDenied unless the caller has a level in a workspace."""
        if await self._level(context, workspace) < level:
            raise PermissionDenied(f"Permission denied for workspace {workspace}")
