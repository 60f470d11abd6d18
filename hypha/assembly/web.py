"""The web application of the server: the routes of all parts, in the order in which they are tried."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Route, WebSocketRoute

from hypha import __version__
from hypha.assembly.readings import Load, reading_of
from hypha.console.routes import Console
from hypha.gateways.asgi_apps.routes import AppRoutes
from hypha.gateways.context import GatewayContext
from hypha.gateways.http.application import HttpApplication, literal_words, path_of
from hypha.gateways.http.static import mount_routes, parse_mount
from hypha.observe.metrics import Metrics
from hypha.registry.offering import record_of
from hypha.transports.asgi_websocket import AsgiLink
from hypha.transports.ratelimit import FrameRate
from hypha.transports.rpc_endpoint import RpcEndpoint
from hypha.transports.stream_secrets import StreamSecrets
from hypha.web.cors import CorsPolicy
from hypha.web.ratelimits import RequestLimits
from hypha.web.running import Running
from hypha.web.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Receive, Scope, Send

    from hypha.assembly.core import Core
    from hypha.assembly.tenants import Tenants
    from hypha.clock import Clock
    from hypha.settings import Settings
    from hypha.transports.reception import Reception
    from hypha.web.apps_origin import AppsOrigin
    from hypha.web.lasting import LastingAnswers

UNREACHABLE_RATE = 1e6
"""Frames per second that no connection reaches: such a limit is none, and is not counted."""


def build_web(
    core: Core, tenants: Tenants, reception: Reception, services: GatewayContext, routes: Sequence[BaseRoute]
) -> HttpApplication:
    """Make the web application; `routes` are those of features."""
    console = Console(services)
    rpc = RpcEndpoint(
        reception,
        core.tokens.authenticate,
        core.proxies.address_in,
        partial(tenants.credentials.token, with_cookies=False),
        StreamSecrets.from_settings(core.settings, tenants.credentials.origins),
        core.settings.stream_ping_interval_s,
    )
    first: list[BaseRoute] = [
        Route("/rpc", rpc),
        WebSocketRoute("/ws", AsgiHub(core, reception)),
        *routes,
        *console.first(),
    ]
    taken = literal_words(map(path_of, [*first, *console.last()]))
    first += mount_routes(core.settings.static_mounts, taken)
    return HttpApplication(services, first=first, apps=AppRoutes(services).routes(), last=console.last())


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
        call_timeout_s=settings.http_call_timeout_s,
        max_body_bytes=settings.max_body_bytes,
        expose_errors=settings.expose_detailed_errors,
        trust_apps=settings.trust_apps,
        mounts=[parse_mount(mount)[0] for mount in settings.static_mounts],
    )


class AsgiHub:
    """The hub's WebSocket as an ASGI endpoint, for servers whose sockets are not ours."""

    def __init__(self, core: Core, reception: Reception) -> None:
        self._core = core
        self._reception = reception

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        core = self._core
        address, rate = core.proxies.address_in(scope), new_frame_rate(core.settings, core.hub.clock)
        await AsgiLink(self._reception, address, rate, scope, receive, send).run()


def new_frame_rate(settings: Settings, clock: Clock) -> FrameRate | None:
    """What slows one connection's frames, as the operator has set it; None for nothing."""
    rate_per_s = settings.ws_msg_rate_limit
    if not 0 < rate_per_s < UNREACHABLE_RATE:
        return None
    return FrameRate.of_connection(rate_per_s, settings.ws_msg_burst_limit, clock)
