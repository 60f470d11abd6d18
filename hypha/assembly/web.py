"""The web application of the server: the routes of all parts, in the order in which they are tried."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from hypha import __version__
from hypha.assembly.features import listed_features, words_of
from hypha.assembly.readings import Load, reading_of
from hypha.console.routes import Console
from hypha.gateways import GATEWAYS
from hypha.gateways.base import Gateway
from hypha.gateways.context import GatewayContext
from hypha.gateways.http.application import HttpApplication, literal_words, path_of
from hypha.gateways.http.static import mount_routes, parse_mount
from hypha.observe.metrics import Metrics
from hypha.plugs import class_in
from hypha.registry.offering import record_of
from hypha.transports import TRANSPORTS
from hypha.transports.base import Transport, TransportContext
from hypha.web.cors import CorsPolicy
from hypha.web.downloads import DownloadLimits, Downloads
from hypha.web.ratelimits import RequestLimits
from hypha.web.running import Running
from hypha.web.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypha.assembly.core import Core
    from hypha.assembly.features import Plugged
    from hypha.assembly.tenants import Tenants
    from hypha.transports.reception import Reception
    from hypha.web.apps_origin import AppsOrigin
    from hypha.web.lasting import LastingAnswers


@dataclass(frozen=True, slots=True)
class Doors:
    """What is listed to be plugged into the web application: gateways and transports."""

    gateways: Sequence[type[Gateway]]
    transports: Sequence[type[Transport]]

    @property
    def streams(self) -> list[str]:
        """Paths on which links run inside HTTP requests."""
        return [path for transport in self.transports for path in transport.streams]


def listed_doors() -> Doors:
    """Those of the server."""
    return Doors(
        [class_in(f"hypha.gateways.{name}.gateway", Gateway) for name in GATEWAYS],
        [class_in(f"hypha.transports.{name}", Transport) for name in TRANSPORTS],
    )


def kept_words() -> frozenset[str]:
    """First words of paths that all features and transports keep, for who looks before anything is built."""
    return words_of(listed_features()) | literal_words(listed_doors().streams)


def build_web(
    core: Core,
    services: GatewayContext,
    of_transports: TransportContext,
    doors: Doors,
    plugged: Plugged,
) -> HttpApplication:
    """Make the web application, with the routes of features."""
    console = Console(services)
    gateways = [make(services) for make in doors.gateways]
    first: list[BaseRoute] = [
        *(route for make in doors.transports for route in make(of_transports).routes()),
        *plugged.routes,
        *console.first(),
        *(route for gateway in gateways if not gateway.is_for_applications for route in gateway.routes()),
    ]
    apps = [
        *plugged.pages,
        *(route for gateway in gateways if gateway.is_for_applications for route in gateway.routes()),
    ]
    taken = literal_words(map(path_of, [*first, *apps, *console.last()])) | words_of(plugged.features)
    first += mount_routes(core.settings.static_mounts, taken)
    return HttpApplication(services, first=first, apps=apps, last=console.last(), streams=doors.streams)


def for_transports(core: Core, tenants: Tenants, reception: Reception) -> TransportContext:
    """What links of clients are made with."""
    return TransportContext(
        core.settings,
        reception,
        core.proxies.address_in,
        core.tokens.authenticate,
        partial(tenants.credentials.token, with_cookies=False),
        tenants.credentials.origins,
    )


def http_services(
    core: Core, tenants: Tenants, lasting: LastingAnswers, apps_origin: AppsOrigin | None
) -> GatewayContext:
    """What HTTP requests are answered from."""
    settings = core.settings
    return GatewayContext(
        calling=tenants.calling,
        workspaces=tenants.workspaces,
        credentials=tenants.credentials,
        is_token=core.tokens.is_recognised,
        manager=record_of(tenants.manager, "*", core.hub.manager_id),
        health=core.health,
        metrics=Metrics(partial(reading_of, core.hub, core.registry, Load(core.hub))),
        limits=RequestLimits.from_settings(settings),
        running=Running.from_settings(settings),
        uploads=Uploads.from_settings(settings),
        proxies=core.proxies,
        lasting=lasting,
        blocklist=core.guard.blocklist,
        audit=core.guard.audit,
        rates=core.rates,
        cors=CorsPolicy(settings.allow_origins.split(",")),
        apps_origin=apps_origin,
        base_path=settings.url_path,
        public_base_url=settings.announced_base_url,
        version=__version__,
        inactive=settings.inactive_features,
        workbench=core.workbench,
        downloads=Downloads(DownloadLimits.of_bodies(settings.max_body_bytes)),
        call_timeout_s=settings.http_call_timeout_s,
        max_body_bytes=settings.max_body_bytes,
        expose_errors=settings.expose_detailed_errors,
        trust_apps=settings.trust_apps,
        mounts=[parse_mount(mount)[0] for mount in settings.static_mounts],
    )
