"""The workspace manager on the wire, and what it and every connection are told about the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypha import __version__
from hypha.registry.directory import Directory
from hypha.web.signing_in import LOGIN_FUNCTIONS
from hypha.workspaces.limits import LimitsInUse
from hypha.workspaces.parts import Parts
from hypha.workspaces.service import WorkspaceManager

if TYPE_CHECKING:
    from hypha.assembly.core import Core
    from hypha.builtins.service import BuiltinService
    from hypha.registry.balance import Selection
    from hypha.registry.calling import Calling
    from hypha.settings import Settings
    from hypha.workspaces.membership import Members
    from hypha.workspaces.tenancy import Tenancy


def build_manager(
    core: Core, tenancy: Tenancy, members: Members, selection: Selection, calling: Calling
) -> BuiltinService:
    """Make the manager, and put it on the wire."""
    settings, peer = core.settings, core.manager_peer
    directory = Directory(calling, core.base_url, lambda: service.encoded(peer.address, core.base_url))
    limits = LimitsInUse(settings, members, core.registry, core.rates, tenancy.workspaces)
    manager = WorkspaceManager(
        Parts(
            core.hub, peer.calls, core.registry, selection, directory, tenancy, core.tokens, settings,
            core.background, core.guard, limits.of, members.keep_subscriptions,
        )
    )  # fmt: skip
    service = manager.service(manager_facts(settings, core.hub.manager_id, core.server_id))
    peer.services.add(service)
    return service


def connection_facts(settings: Settings, manager_id: str) -> dict[str, Any]:
    """What every client is told about the server in `connection_info`."""
    return {
        "hypha_version": __version__,
        "public_base_url": settings.announced_base_url,
        "local_base_url": settings.local_base_url,
        "manager_id": manager_id,
    }


def manager_facts(settings: Settings, manager_id: str, server_id: str) -> dict[str, Any]:
    """The manager's `config`: the same, and where people sign in."""
    return {
        **connection_facts(settings, manager_id),
        "server_id": server_id,
        "auth0_client_id": settings.auth0_client_id,
        "auth0_domain": settings.auth0_domain,
        "auth0_audience": settings.auth0_audience,
        "auth0_issuer": settings.auth0_issuer,
        "login_service_url": f"{settings.announced_base_url}{LOGIN_FUNCTIONS}",
    }
