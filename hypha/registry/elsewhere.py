"""What the registry needs of the other replicas, where there are some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hypha.registry.records import ServiceRecord


class OtherReplicas(Protocol):
    """The services of clients that are connected elsewhere."""

    async def prepare(self, workspace: str) -> None:
        """Let the registry hold what others have in a workspace, for some time.

        Raises:
            BackendUnavailable: they cannot be reached.
        """

    async def public(self) -> Sequence[ServiceRecord]:
        """The public services of all workspaces that the registry does not hold.

        Raises:
            BackendUnavailable: they cannot be reached.
        """

    async def servers(self) -> Sequence[str]:
        """The ids of all servers, this one included.

        Raises:
            BackendUnavailable: they cannot be reached.
        """

    async def offer(self, record: ServiceRecord) -> None:
        """Let others find a service of a client of this replica.

        Raises:
            Conflict: a live client of another replica offers one of this name, and one of the two is a
                singleton.
        """

    async def withdraw(self, record: ServiceRecord) -> None:
        """Let nobody find a service any more."""
