"""The five ports through which a feature uses the server: services, HTTP, data, tasks, events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypha.auth.users import Context
    from hypha.background import Background
    from hypha.builtins.service import BuiltinService
    from hypha.hub.hub import Hub
    from hypha.registry.offering import Offering
    from hypha.store.repository import Connections
    from hypha.store.usage import Quota, Usage
    from hypha.workspaces.lifecycle import Workspaces
    from hypha.workspaces.membership import Members
    from hypha.workspaces.quotas import Quotas


@dataclass(frozen=True, slots=True)
class ServicesPort:
    """Services of the server itself, and who calls them."""

    _offering: Offering
    _hub: Hub

    def offer(
        self, service: BuiltinService, *, workspace: str = "public", visibility: str = "public"
    ) -> None:
        """Make a service callable under `<workspace>/<server_id>:<id>`, over RPC and HTTP.

        Offered again, a service takes the place of the one of that id.
        """
        self._offering.offer(service, workspace=workspace, visibility=visibility)

    def has_left(self, caller: Context) -> bool:
        """True for a connected caller that is gone; of callers by HTTP it is not known."""
        if caller.connection_type == "http" or not caller.client_id:
            return False
        client = self._hub.client(caller.workspace, caller.client_id)
        return client is None or client.ended


@dataclass(frozen=True, slots=True)
class DataPort:
    """What lasts: records in the database, and secrets.

    `connections` gives connections to read from and transactions to write in; `usage` counts what a workspace
    keeps, in the transaction that keeps it.
    """

    connections: Connections
    usage: Usage
    _quotas: Quotas
    _secret: Callable[[str], str]

    def bound(self, kind: str, shown: str, quota: Quota) -> None:
        """Bound a kind of what workspaces keep; `kind` as `usage` counts it, `shown` as people see it."""
        self._quotas.declare(kind, shown, quota)

    def secret(self, name: str) -> str:
        """The secret of this name, made at first use, the same after a restart."""
        return self._secret(name)


@dataclass(frozen=True, slots=True)
class TasksPort:
    """Work beside the calls of clients."""

    _background: Background

    def start(self, work: Coroutine[Any, Any, Any], what: str) -> bool:
        """Run work that nobody waits for; it is cancelled and awaited when the server stops.

        Its failure is logged under `what`. False, and nothing is run, when the server runs too much already.
        """
        return self._background.start(work, what)


@dataclass(frozen=True, slots=True)
class EventsPort:
    """What happens to workspaces and clients that a feature may have kept something for."""

    _workspaces: Workspaces
    _members: Members

    def on_workspace_ended(self, hear: Callable[[str], Awaitable[None]]) -> None:
        """Call `hear` with the id of each workspace that ends, whichever way: see `Endings`."""
        self._workspaces.endings.follow(hear)

    def on_client_ended(self, hear: Callable[[str, str], None]) -> None:
        """Call `hear` with workspace and id of each client whose state ends; it must return at once."""
        self._members.follow(hear)
