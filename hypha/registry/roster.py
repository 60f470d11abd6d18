"""Who is connected, and how they fare: asked by all who may have to do with clients of other replicas.

The router and the parts of the hub know the clients of this process; they never ask here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hypha.auth.users import User
    from hypha.hub.hub import Hub

Key = tuple[str, str]
"""Workspace and client id."""


class Present(Protocol):
    """A client, wherever it is connected."""

    @property
    def address(self) -> str:
        """`workspace/client_id`."""

    @property
    def user(self) -> User:
        """As whom it acts."""

    @property
    def is_live(self) -> bool:
        """True while a connection is attached."""

    @property
    def load_per_min(self) -> float:
        """Calls forwarded to the client in about the last minute."""


class Roster(Protocol):
    """All clients. Its reads are awaited, for it may ask elsewhere."""

    async def of(self, workspace: str) -> Sequence[Present]:
        """The clients of a workspace, those between two connections included."""

    async def find(self, clients: Sequence[Key]) -> Sequence[Present | None]:
        """These clients, in this order; None for what is no client, such as a peer inside the server."""


class LocalRoster:
    """The clients of this process, and those of other replicas that it knows."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def of(self, workspace: str) -> Sequence[Present]:
        """See `Roster`."""
        return self._hub.clients.everywhere(workspace)

    async def find(self, clients: Sequence[Key]) -> Sequence[Present | None]:
        """See `Roster`."""
        return [self._hub.client(workspace, client_id) for workspace, client_id in clients]
