"""How a feature plugs in: one object, one narrow context, never the whole server."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from hypha.auth.guard import Guard
    from hypha.auth.tokens import TokenAuthority
    from hypha.hub.hub import Hub
    from hypha.hub.rates import Rates
    from hypha.observe.health import Check
    from hypha.registry.balance import Selection
    from hypha.registry.index import Registry
    from hypha.settings import Settings
    from hypha.store import Store
    from hypha.web.credentials import Credentials
    from hypha.workspaces.membership import Members
    from hypha.workspaces.tenancy import Tenancy


@dataclass(slots=True)
class FeatureContext:
    """What a feature may use.

    `offer` makes a service callable over RPC and HTTP under `public/<server_id>` (or in
    `ws-user-root` where it says so); `start` runs work that is cancelled and awaited at the end.
    `guard.audit` takes security events and `guard.blocklist` knows who is kept out; `server` is the
    whole server, for the administrator's terminal alone.
    `secret` gives a lasting secret by name; `routes` are tried before the core's own.
    """

    settings: Settings
    server_id: str
    base_url: str
    hub: Hub
    registry: Registry
    selection: Selection
    tenancy: Tenancy
    tokens: TokenAuthority
    credentials: Credentials
    store: Store
    offer: Callable[..., None]
    start: Callable[[Coroutine[Any, Any, Any], str], bool]
    secret: Callable[[str], str]
    add_check: Callable[[str, Check], None]
    guard: Guard
    members: Members
    server: Any
    rates: Rates
    routes: list[BaseRoute] = field(default_factory=list)
    shared: dict[str, Any] = field(default_factory=dict)


class Feature:
    """A part that can be removed by deleting its folder and its line in the assembly."""

    name = ""

    async def start(self, context: FeatureContext) -> None:
        """Make and offer the feature's services and routes, before the server becomes ready."""

    async def stop(self) -> None:
        """Flush and close what the feature opened."""
