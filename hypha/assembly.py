"""Builds the server from its parts, starts and stops them in order."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from starlette.routing import BaseRoute, Route, WebSocketRoute

from hypha import __version__
from hypha.auth.blocklist import Blocked
from hypha.auth.current import CURRENT
from hypha.auth.guard import Guard
from hypha.auth.revocation import Revocations
from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import User, root_user
from hypha.console.routes import Console
from hypha.datafolder import DataFolder
from hypha.errors import ConfigurationError
from hypha.features.accounts import AccountsFeature
from hypha.features.admin.feature import AdminFeature
from hypha.features.base import Feature, FeatureContext
from hypha.features.login.feature import LoginFeature
from hypha.features.oidc import OidcFeature
from hypha.features.queues import QueuesFeature
from hypha.features.triton import TritonFeature
from hypha.gateways.asgi_apps.routes import AppRoutes
from hypha.gateways.http.application import HttpApplication
from hypha.gateways.http.cors import CorsPolicy
from hypha.gateways.http.services import HttpServices
from hypha.gateways.http.static import mount_routes
from hypha.hub.hub import Hub
from hypha.hub.local_connection import LocalConnection
from hypha.hub.local_peer import LocalPeer
from hypha.hub.local_service import LocalService
from hypha.hub.rates import RateLimits, Rates
from hypha.ids import random_id, readable_id
from hypha.observe.health import Health
from hypha.observe.memory import trim_regularly
from hypha.observe.metrics import Metrics, Reading, counts_of
from hypha.registry.balance import Selection
from hypha.registry.directory import Directory
from hypha.registry.index import Registry
from hypha.registry.offering import Offering
from hypha.startup import run_startup_functions, server_object
from hypha.store import Seal, Store
from hypha.store.blocklist import BlockRecord
from hypha.transports.asgi_websocket import AsgiLink
from hypha.transports.ratelimit import FrameRate
from hypha.transports.reception import Limits, Reception
from hypha.transports.rpc_endpoint import RpcEndpoint
from hypha.web.client_address import TrustedProxies
from hypha.web.credentials import Credentials
from hypha.web.ratelimits import RequestLimits
from hypha.workspaces.admission import Admission
from hypha.workspaces.background import Background
from hypha.workspaces.lifecycle import Workspaces
from hypha.workspaces.limits import LimitsInUse
from hypha.workspaces.membership import Members
from hypha.workspaces.parts import Parts
from hypha.workspaces.service import WorkspaceManager
from hypha.workspaces.tenancy import Tenancy

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from hypha.settings import Settings

logger = logging.getLogger(__name__)

STOP_GRACE_S = 0.2
UNREACHABLE_RATE = 1e6
"""Frames per second that no connection reaches: such a limit is none, and is not counted."""
FEATURES: tuple[type[Feature], ...] = (
    LoginFeature,
    AccountsFeature,
    AdminFeature,
    QueuesFeature,
    TritonFeature,
    OidcFeature,
)
"""What the server offers over its core, in the order in which it starts."""


class Server:
    """One server process: its parts, and the order in which they start and stop.

    Nothing is built before `start`, because the hub belongs to the running event loop.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.server_id = settings.server_id or readable_id()
        self.is_accepting = False
        self.background = Background()
        self.registry = Registry()
        self.folder: DataFolder | None = None
        self.store: Store | None = None
        self.hub: Hub
        self.http_peer: LocalPeer
        self.tokens: TokenAuthority
        self.tenancy: Tenancy
        self.workspaces: Workspaces
        self.revocations: Revocations
        self.members: Members
        self.reception: Reception
        self.selection: Selection
        self.manager_service: LocalService
        self.http: HttpApplication
        self.health = Health(version=__version__, connections=self._connections)
        self._started = False
        self._stopping = False
        self._startup_object: Any = None
        self.features: list[Feature] = []
        self.context: FeatureContext
        self.credentials: Credentials
        self.offering: Offering
        self.guard: Guard
        self.rates: Rates
        self.proxies = TrustedProxies(
            word.strip() for word in settings.trusted_proxies.split(",") if word.strip()
        )

    @property
    def data_shown(self) -> str:
        """Where the data lies, for a person."""
        return self.folder.shown if self.folder else ""

    @property
    def app(self) -> HttpApplication:
        """The ASGI application of a started server."""
        return self.http

    @property
    def http_protocol(self) -> type[HttpToolsProtocol]:
        """uvicorn's HTTP protocol with the hub's WebSocket behind the upgrade."""
        from hypha.transports.upgrade import hub_http_protocol

        path = f"{self.settings.url_path}/ws"
        return hub_http_protocol(self.reception, path, self._new_rate, self._address_of)

    def _new_rate(self) -> FrameRate | None:
        rate = self.settings.ws_msg_rate_limit
        if not 0 < rate < UNREACHABLE_RATE:
            return None
        return FrameRate.of_connection(rate, self.settings.ws_msg_burst_limit, self.hub.loop)

    async def start(self) -> None:
        """Open the stores, build the parts, run the startup functions, become ready.

        Raises:
            ConfigurationError: the server cannot start so; its text is for the user.
        """
        try:
            await self._open_stores()
            self._build_hub()
            await self._build_tenancy()
            await self._start_features()
            self._build_http()
            await self._run_startup_functions()
        except BaseException:
            await self.stop()
            raise
        settings = self.settings
        idle_s = settings.ws_idle_timeout_s
        every_s = min(settings.activity_check_interval_s, idle_s / 4) if idle_s > 0 else 10.0
        self.hub.pulse.start_liveness(idle_s, max(every_s, 0.2))
        self.background.start(self._after_window(), "cleaning up after the last run")
        self.background.start(self.guard.audit.run(), "writing the audit log")
        if self.guard.issued is not None:
            self.background.start(self.guard.issued.note_use(), "noting the use of tokens")
        self.background.start(trim_regularly(settings.malloc_trim_interval_s), "giving back memory")
        gc.collect()
        gc.freeze()  # what lives as long as the server need not be looked at again and again
        self._started = True
        self.is_accepting = True
        self.health.is_ready = True

    async def _open_stores(self) -> None:
        settings = self.settings
        self.folder = DataFolder.open(settings.data_dir, settings.announced_base_url)
        self.store = Store(settings.database_uri or self.folder.database_uri)
        await self.store.open()

    def _build_hub(self) -> None:
        assert self.folder is not None
        settings = self.settings
        base_url = settings.announced_base_url
        self.hub = hub = Hub(
            self.folder.manager_id(),
            hold_time_s=settings.hold_time_s,
            window_s=settings.resume_window_s,
            slow_reader_deadline_s=settings.slow_reader_deadline_s,
            foreign_pause_limit_s=settings.foreign_pause_limit_s,
            held_limit_bytes=settings.held_limit_bytes,
            ack_interval_s=settings.ack_interval_s,
        )
        hub.manager = LocalPeer(hub, "*", hub.manager_id, base_url)
        self.http_peer = LocalPeer(hub, "", f"http-{random_id(8)}", base_url)
        hub.inner_peers[self.http_peer.peer_id] = self.http_peer
        hub.reserved_ids |= {self.server_id, self.http_peer.peer_id}

    async def _build_tenancy(self) -> None:
        assert self.folder is not None and self.store is not None
        settings, hub, store = self.settings, self.hub, self.store
        self.revocations = Revocations(store.revoked_tokens, self._end_clients_with)
        await self.revocations.load()
        self.tokens = TokenAuthority(
            settings.jwt_secret or self.folder.secret("jwt"),
            issuer=settings.auth0_issuer,
            audience=settings.auth0_audience,
            namespace=settings.auth0_namespace,
            root_token=settings.root_token,
            max_life_s=settings.max_token_life_time_s,
            reconnection_life_s=settings.reconnection_token_life_time_s,
            revocations=self.revocations,
        )
        self.guard = await Guard.open(store, self.tokens, settings, self._end_blocked)
        self.rates = Rates(RateLimits.from_settings(settings), hub.time)
        seal = Seal(self.folder.secret("sealing"))
        self.tenancy = Tenancy.build(store, settings, seal, hub.publish, self._end_clients_of)
        self.workspaces = self.tenancy.workspaces
        await self.workspaces.start()
        self.members = Members(hub, self.registry, self.workspaces, store.subscriptions, self.background)
        await self.members.load()
        self.offering = Offering(hub, self.registry, self.server_id, settings.announced_base_url)
        self.offering.on_refused = self.guard.note_refused
        hub.membership = self.members
        self._build_manager()
        self.reception = Reception(
            hub,
            Admission(self.tokens, self.workspaces),
            self.tokens,
            self.members,
            self._facts(),
            Limits.from_settings(settings),
            lambda: self.is_accepting,
            self.guard,
            self.rates,
        )

    def _end_blocked(self, block: BlockRecord) -> None:
        """Somebody was blocked: end the connections, the held ones too."""
        for client in list(self.hub.clients.values()):
            try:
                address = client.connection.peer_address if client.connection else ""
                self.guard.blocklist.check(client.user, address)
            except Blocked as error:
                self.hub.kick(client, 1008, error.message)

    def _address_of(self, scope: Any) -> str:
        return self.proxies.client_address(scope, dict(scope["headers"]))

    def _build_manager(self) -> None:
        assert self.hub.manager is not None and self.store is not None
        peer = self.hub.manager
        self.selection = Selection(self.registry, self.hub, peer)
        base_url = self.settings.announced_base_url
        directory = Directory(
            self.selection,
            peer,
            base_url,
            lambda: peer.describe(self.manager_service),
            self.offering.describe,
        )
        limits = LimitsInUse(self.settings, self.members, self.registry, self.rates)
        manager = WorkspaceManager(
            Parts(
                self.hub, peer, self.registry, self.selection, directory, self.tenancy, self.tokens,
                self.settings, self.background, self.guard, limits.of,
            )
        )  # fmt: skip
        self.manager_service = manager.service(self._manager_facts())
        peer.host(self.manager_service)

    def _end_clients_with(self, credential: str) -> None:
        """A token was revoked: end the connections that came with it (DESIGN 4)."""
        for client in list(self.hub.clients.values()):
            if client.user.credential == credential:
                self.hub.kick(client, 1008, "Token has been revoked")

    def _end_clients_of(self, workspace: str) -> None:
        for client in self.hub.clients_of(workspace):
            self.hub.kick(client, 1001, f"Workspace unloaded: {workspace}")

    def _facts(self) -> dict[str, Any]:
        """What every client is told about the server in `connection_info`."""
        settings = self.settings
        return {
            "hypha_version": __version__,
            "public_base_url": settings.announced_base_url,
            "local_base_url": settings.local_base_url,
            "manager_id": self.hub.manager_id,
        }

    def _manager_facts(self) -> dict[str, Any]:
        settings = self.settings
        return {
            **self._facts(),
            "server_id": self.server_id,
            "auth0_client_id": settings.auth0_client_id,
            "auth0_domain": settings.auth0_domain,
            "auth0_audience": settings.auth0_audience,
            "auth0_issuer": settings.auth0_issuer,
            "login_service_url": f"{settings.announced_base_url}/public/services/hypha-login",
        }

    async def _start_features(self) -> None:
        assert self.folder is not None and self.store is not None
        settings = self.settings
        blocklist = self.guard.blocklist
        self.credentials = Credentials(
            self.tokens.authenticate, self.workspaces, check_user=blocklist.check_user
        )
        self.context = FeatureContext(
            settings=settings,
            server_id=self.server_id,
            base_url=settings.announced_base_url,
            hub=self.hub,
            registry=self.registry,
            selection=self.selection,
            tenancy=self.tenancy,
            tokens=self.tokens,
            credentials=self.credentials,
            store=self.store,
            offer=self.offering.offer,
            start=self.background.start,
            secret=self.folder.secret,
            add_check=self.health.add_check,
            guard=self.guard,
            members=self.members,
            server=self,
            rates=self.rates,
        )
        for make in FEATURES:
            feature = make()
            await feature.start(self.context)
            self.features.append(feature)

    def _build_http(self) -> None:
        settings = self.settings
        services = HttpServices(
            peer=self.http_peer,
            selection=self.selection,
            workspaces=self.workspaces,
            credentials=self.credentials,
            find_local=self.offering.find,
            manager=self.manager_service,
            health=self.health,
            metrics=Metrics(self._reading),
            limits=RequestLimits.from_settings(settings),
            proxies=self.proxies,
            blocklist=self.guard.blocklist,
            audit=self.guard.audit,
            rates=self.rates,
            cors=CorsPolicy(settings.allow_origins.split(",")),
            base_path=settings.url_path,
            public_base_url=settings.announced_base_url,
            version=__version__,
            inactive=settings.inactive_features,
            call_timeout_s=settings.http_call_timeout_s,
            max_body_bytes=settings.max_body_bytes,
            expose_errors=settings.expose_detailed_errors,
            trust_apps=settings.trust_apps,
        )
        console = Console(services)
        self.http = HttpApplication(
            services, first=self._first_routes(services, console), last=console.last()
        )

    def _first_routes(self, services: HttpServices, console: Console) -> list[BaseRoute]:
        """Routes that are tried before the gateway's own: transports, features, applications, files."""
        rpc = RpcEndpoint(
            self.reception,
            self.tokens.authenticate,
            self._address_of,
            self.settings.stream_ping_interval_s,
            token_source=self._token_in,
        )
        return [
            Route("/rpc", rpc),
            WebSocketRoute("/ws", _AsgiHub(self.reception, self._new_rate, self._address_of)),
            *self.context.routes,
            *AppRoutes(services).routes(),
            *console.first(),
            *mount_routes(self.settings.static_mounts),
        ]

    async def _token_in(self, scope: Scope) -> str | None:
        """The credential in a request as a provider finds it; None without one."""
        source = self.credentials.token_source
        return None if source is None else await source(scope)

    def _connections(self) -> dict[str, int]:
        stats = self.hub.stats
        return {
            "active": sum(1 for _ in self.hub.live_clients()),
            "held": self.hub.resume.held,
            "held_frames": self.hub.resume.held_frames,
            "total_created": stats.connections_total,
            "total_closed": stats.connections_closed,
        }

    def _reading(self) -> Reading:
        hub, stats = self.hub, self.hub.stats
        live = sum(1 for _ in hub.live_clients())
        return Reading(
            values={
                "websocket_connections": live,
                "websocket_connections_established": stats.connections_total,
                "redis_eventbus_local_clients": len(hub.clients),
                "rpc_call": stats.frames_in,
            },
            counts=counts_of(stats, "hub"),
            levels={
                "hub_clients_live": live,
                "hub_clients_held": hub.resume.held,
                "hub_frames_held": hub.resume.held_frames,
                "registry_services": len(self.registry),
            },
        )

    async def _run_startup_functions(self) -> None:
        uris = self.settings.startup_functions
        if uris:
            CURRENT.set(self.tokens)
            self._startup_object = await run_startup_functions(uris, self._new_server_object)

    async def _new_server_object(self) -> Any:
        """The server object of startup functions: root, in `public`, under the server's own id."""
        return await self._inner_client("public", self.server_id, root_user("public"))

    async def _inner_client(self, workspace: str, client_id: str, user: User) -> Any:
        """A client of the client library inside this process, with the keys of core-api 1.4."""
        level = user.level(workspace)
        link = LocalConnection.open(
            self.hub, workspace, client_id, user.within(workspace, client_id, level), self._facts()
        )
        assert link.client is not None
        self.members.joined(link.client, restore=False)
        extras = {
            "store": self,
            "get_root_user": root_user,
            "get_workspace_interface": self.get_workspace_interface,
            **(self.context.shared.get("server_object", {}) if user.is_admin else {}),
        }
        return await server_object(link, link.connection_info, extras)

    async def get_workspace_interface(
        self, user: User | None = None, workspace: str = "public", client_id: str | None = None
    ) -> Any:
        """A client inside this process, acting as `user` (root by default) in a workspace."""
        acting = user or root_user(workspace)
        await self.workspaces.open(workspace, acting)
        return await self._inner_client(workspace, client_id or random_id(), acting)

    async def _after_window(self) -> None:
        await asyncio.sleep(self.settings.resume_window_s * 2)
        await self.members.forget_absent()

    def begin_stop(self) -> None:
        """Take nothing new from now on: not ready, no further handshakes."""
        self.is_accepting = False
        self.health.is_ready = False

    async def stop(self) -> None:
        """Say goodbye to all clients, flush and close everything; may be called at any stage."""
        if self._stopping:
            return
        self._stopping = True
        self.begin_stop()
        if hasattr(self, "workspaces"):
            await self.workspaces.stop()
        if self._started:
            await self._say_goodbye()
        for feature in reversed(self.features):
            await feature.stop()
        await self.background.close()
        if hasattr(self, "offering"):
            await self.offering.close()
        if hasattr(self, "hub"):
            for peer in (self.hub.manager, self.http_peer):
                if peer is not None:
                    await peer.close()
            self.hub.pulse.stop()
        if self.store is not None:
            await self.store.close()
        if self.folder is not None:
            self.folder.close()

    async def _say_goodbye(self) -> None:
        """Close every link with 1001, so that clients come back at once, and let buffers drain."""
        links = [client.connection for client in self.hub.live_clients()]
        for link in links:
            if link is not None:
                link.close(1001, "Server is shutting down")
        if links:
            await asyncio.sleep(STOP_GRACE_S)


class _AsgiHub:
    """The hub's WebSocket as an ASGI endpoint, for servers whose sockets are not ours."""

    def __init__(
        self,
        reception: Reception,
        new_rate: Callable[[], FrameRate | None],
        address_of: Callable[[Scope], str],
    ) -> None:
        self._reception = reception
        self._new_rate = new_rate
        self._address_of = address_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address, rate = self._address_of(scope), self._new_rate()
        link = AsgiLink(self._reception, address, rate, scope, receive, send)
        await link.run()


class Application:
    """ASGI application whose lifespan starts and stops the server (`uvicorn hypha.server:app`)."""

    def __init__(self, settings: Settings) -> None:
        self.server = Server(settings)
        self.state = SimpleNamespace(store=self.server)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope; without a lifespan the first request starts the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        await self.server.app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.server.start()
        except ConfigurationError as error:
            await send({"type": "lifespan.startup.failed", "message": error.message})
            return
        for note in self.server.context.shared.get("welcome", ()):  # no start-up block is printed here
            logger.warning(note.strip())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.server.stop()
        await send({"type": "lifespan.shutdown.complete"})


def create_application(settings: Settings) -> Application:
    """Make the ASGI application for a server with these settings."""
    return Application(settings)
