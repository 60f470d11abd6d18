"""The web application of the server: the routes of all parts, in the order in which they are tried."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Route, WebSocketRoute

from hypha import __version__
from hypha.assembly.readings import Load, reading_of
from hypha.console.routes import Console
from hypha.gateways.asgi_apps.routes import AppRoutes
from hypha.gateways.http.application import HttpApplication, literal_words, path_of
from hypha.gateways.http.cors import CorsPolicy
from hypha.gateways.http.services import HttpServices
from hypha.gateways.http.static import mount_routes, parse_mount
from hypha.observe.metrics import Metrics
from hypha.transports.asgi_websocket import AsgiLink
from hypha.transports.ratelimit import FrameRate
from hypha.transports.rpc_endpoint import RpcEndpoint
from hypha.transports.stream_secrets import StreamSecrets
from hypha.web.ratelimits import RequestLimits
from hypha.web.running import Running
from hypha.web.uploads import Uploads

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from hypha.assembly.server import Server

UNREACHABLE_RATE = 1e6
"""Frames per second that no connection reaches: such a limit is none, and is not counted."""


def build_http(server: Server) -> HttpApplication:
    """Make the web application of a server whose other parts are all there."""
    services = http_services(server)
    console = Console(services)
    first, apps = _first_routes(server, console), AppRoutes(services).routes()
    return HttpApplication(services, first=first, apps=apps, last=console.last())


def http_services(server: Server) -> HttpServices:
    """What HTTP requests are answered from."""
    settings = server.settings
    return HttpServices(
        peer=server.http_peer,
        selection=server.selection,
        workspaces=server.workspaces,
        credentials=server.credentials,
        find_local=server.offering.find,
        is_token=server.tokens.is_recognised,
        manager=server.manager_service,
        health=server.health,
        metrics=Metrics(partial(reading_of, server.hub, server.registry, Load(server.hub))),
        limits=RequestLimits.from_settings(settings),
        running=Running.from_settings(settings),
        uploads=Uploads.from_settings(settings),
        proxies=server.proxies,
        lasting=server.lasting,
        blocklist=server.guard.blocklist,
        audit=server.guard.audit,
        rates=server.rates,
        cors=CorsPolicy(settings.allow_origins.split(",")),
        apps_origin=server.apps_origin,
        base_path=settings.url_path,
        public_base_url=settings.announced_base_url,
        version=__version__,
        inactive=settings.inactive_features,
        workbench=server.workbench,
        call_timeout_s=settings.http_call_timeout_s,
        max_body_bytes=settings.max_body_bytes,
        expose_errors=settings.expose_detailed_errors,
        trust_apps=settings.trust_apps,
        mounts=[parse_mount(mount)[0] for mount in settings.static_mounts],
    )


def _first_routes(server: Server, console: Console) -> list[BaseRoute]:
    """Routes that are tried before the gateway's own: transports, features, files."""
    rpc = RpcEndpoint(
        server.reception,
        server.tokens.authenticate,
        server.proxies.address_in,
        partial(server.credentials.token, with_cookies=False),
        StreamSecrets.from_settings(server.settings, server.credentials.origins),
        server.settings.stream_ping_interval_s,
    )
    routes = [
        Route("/rpc", rpc),
        WebSocketRoute("/ws", AsgiHub(server)),
        *server.context.routes,
        *console.first(),
    ]
    taken = literal_words(map(path_of, [*routes, *console.last()]))
    return [*routes, *mount_routes(server.settings.static_mounts, taken)]


class AsgiHub:
    """The hub's WebSocket as an ASGI endpoint, for servers whose sockets are not ours."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        server = self._server
        address, rate = server.proxies.address_in(scope), new_frame_rate(server)
        await AsgiLink(server.reception, address, rate, scope, receive, send).run()


def new_frame_rate(server: Server) -> FrameRate | None:
    """What slows one connection's frames, as the operator has set it; None for nothing."""
    rate_per_s = server.settings.ws_msg_rate_limit
    if not 0 < rate_per_s < UNREACHABLE_RATE:
        return None
    return FrameRate.of_connection(rate_per_s, server.settings.ws_msg_burst_limit, server.hub.loop)
