"""How the outside reaches a server: the reception of links and the web application, built last."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from hypha.assembly.access import check_standing
from hypha.assembly.manager import connection_facts
from hypha.assembly.web import build_web, for_transports, http_services
from hypha.transports.ratelimit import FrameRate
from hypha.transports.reception import Reception, ReceptionLimits
from hypha.transports.sockets import Sockets
from hypha.web.apps_origin import AppsOrigin
from hypha.web.lasting import LastingAnswers
from hypha.workspaces.admission import Admission

if TYPE_CHECKING:
    from hypha.assembly.core import Core
    from hypha.assembly.features import Plugged
    from hypha.assembly.tenants import Tenants
    from hypha.assembly.web import Doors
    from hypha.gateways.http.application import HttpApplication
    from hypha.transports.upgrade import HubHttpProtocol


@dataclass(frozen=True, slots=True)
class Edge:
    """What takes connections and requests; `descriptors` is how many files the process may open."""

    app: HttpApplication
    reception: Reception
    lasting: LastingAnswers
    apps_origin: AppsOrigin | None
    descriptors: int


def build_edge(core: Core, tenants: Tenants, doors: Doors, plugged: Plugged, descriptors: int) -> Edge:
    """Build it; nobody can make a workspace of the words of its routes."""
    settings = core.settings
    lasting = LastingAnswers(
        partial(check_standing, core.guard, core.tokens, tenants.workspaces, core.hub, core.expected)
    )
    apps_origin = AppsOrigin(settings.apps_origin, core.base_url) if settings.apps_origin else None
    reception = build_reception(core, tenants, descriptors)
    services = http_services(core, tenants, lasting, apps_origin)
    app = build_web(core, services, for_transports(core, tenants, reception), doors, plugged)
    tenants.tenancy.catalogue.keep_free(app.words)
    return Edge(app, reception, lasting, apps_origin, descriptors)


def build_reception(core: Core, tenants: Tenants, descriptors: int) -> Reception:
    """Where links of clients come in."""
    settings, hub = core.settings, core.hub
    return Reception(
        hub,
        Admission(core.tokens, tenants.workspaces, serves_anonymous=settings.allow_anonymous),
        core.tokens,
        tenants.members,
        connection_facts(settings, hub.manager_id),
        ReceptionLimits.from_settings(settings),
        lambda: core.health.is_ready,
        core.guard,
        core.rates,
        Sockets.of_settings(settings, descriptors, hub.time, core.proxies.trusts),
        core.manager_peer.calls.ping,
        tenants.replica,
    )


def http_protocol(core: Core, edge: Edge) -> type[HubHttpProtocol]:
    """uvicorn's HTTP protocol with the hub's WebSocket behind the upgrade."""
    from hypha.transports.upgrade import hub_http_protocol

    settings, apps_origin = core.settings, edge.apps_origin

    def is_elsewhere(scope: Any) -> bool:
        """Whether an upgrade was sent to the origin of applications, where the hub is not."""
        core.proxies.enter(scope)
        return apps_origin is not None and apps_origin.is_asked(scope)

    return hub_http_protocol(
        edge.reception,
        settings.url_path,
        lambda: FrameRate.from_settings(settings, core.hub.clock),
        core.proxies.address_in,
        head_timeout_s=settings.head_timeout_s,
        stall_timeout_s=settings.answer_stall_timeout_s,
        is_elsewhere=is_elsewhere if apps_origin is not None else None,
    )
