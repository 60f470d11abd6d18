"""What the manager's functions work with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypha.registry.balance import Peer, Selection
from hypha.registry.directory import Directory
from hypha.registry.index import Registry
from hypha.registry.query import Listing
from hypha.registry.search import Search
from hypha.workspaces.app_ids import AppIds
from hypha.workspaces.background import Background

if TYPE_CHECKING:
    from hypha.auth.tokens import TokenAuthority
    from hypha.hub.hub import Hub
    from hypha.settings import Settings
    from hypha.store import Store
    from hypha.workspaces.lifecycle import Workspaces


@dataclass(slots=True)
class Parts:
    """The server's parts, as seen by the workspace manager. `peer` is its own end on the wire."""

    hub: Hub
    peer: Peer
    registry: Registry
    selection: Selection
    directory: Directory
    workspaces: Workspaces
    tokens: TokenAuthority
    store: Store
    settings: Settings
    background: Background = field(default_factory=Background)
    listing: Listing = field(init=False)
    search: Search = field(init=False)
    app_ids: AppIds = field(init=False)

    def __post_init__(self) -> None:
        self.listing = Listing(self.registry)
        self.search = Search(self.listing)
        self.app_ids = AppIds(self.registry, self.peer, self.background)


class ManagerFunctions:
    """Base of the groups of functions that make up the manager."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
