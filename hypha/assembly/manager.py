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
    from hypha.assembly.server import Server
    from hypha.builtins.service import BuiltinService
    from hypha.settings import Settings


def build_manager(server: Server) -> BuiltinService:
    """Make the manager of a server whose hub, tenancy and members are there, and put it on the wire."""
    peer = server.hub.manager
    assert peer is not None
    directory = Directory(
        server.selection,
        peer,
        server.settings.announced_base_url,
        lambda: peer.describe(service),
        server.offering.describe,
    )
    limits = LimitsInUse(server.settings, server.members, server.registry, server.rates, server.workspaces)
    manager = WorkspaceManager(
        Parts(
            server.hub, peer, server.registry, server.selection, directory, server.tenancy, server.tokens,
            server.settings, server.background, server.guard, limits.of,
        )
    )  # fmt: skip
    facts = manager_facts(server.settings, server.hub.manager_id, server.server_id)
    service = manager.service(facts)
    peer.host(service)
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
