"""The life of one server process: its parts, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hypha import __version__
from hypha.assembly.access import check_http_user, check_standing, end_clients_of, open_guard, open_tokens
from hypha.assembly.features import Features, in_order, listed_features
from hypha.assembly.inner_clients import InnerClients, Opening
from hypha.assembly.manager import build_manager, connection_facts
from hypha.assembly.readings import connections_of
from hypha.assembly.web import build_http, new_frame_rate
from hypha.auth.guard import Guard
from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import User
from hypha.background import Background
from hypha.builtins.service import BuiltinService
from hypha.datafolder import DataFolder
from hypha.features.base import Feature, FeatureContext, Objects
from hypha.features.ports import DataPort, EventsPort, ServicesPort, TasksPort
from hypha.gateways.http.application import HttpApplication
from hypha.gateways.http.workbench import Workbench, WorkLimits
from hypha.hub.hub import Hub
from hypha.hub.local_peer import LocalPeer
from hypha.hub.rates import RateLimits, Rates
from hypha.ids import random_id, readable_id
from hypha.observe.health import Health
from hypha.observe.memory import keep_frame_buffers, trim_regularly
from hypha.registry.balance import Selection
from hypha.registry.index import Registry
from hypha.registry.offering import Offering
from hypha.registry.records import BUILT_IN
from hypha.store import Seal, Store
from hypha.transports.descriptors import raise_limit
from hypha.transports.reception import Limits, Reception
from hypha.transports.sockets import Sockets
from hypha.transports.stream_watch import StreamWatch, WatchLimits
from hypha.transports.websocket import GOODBYE
from hypha.web.apps_origin import AppsOrigin
from hypha.web.client_address import TrustedProxies
from hypha.web.credentials import Credentials
from hypha.web.lasting import LastingAnswers
from hypha.web.origins import Origins
from hypha.workspaces.admission import Admission
from hypha.workspaces.lifecycle import Workspaces
from hypha.workspaces.membership import Members
from hypha.workspaces.tenancy import Tenancy

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.hub.connection import Connection
    from hypha.settings import Settings
    from hypha.transports.upgrade import HubHttpProtocol

logger = logging.getLogger(__name__)

SWITCH_INTERVAL_S = 0.001
"""The event loop waits so long, not 5 ms, for a thread that opens a large message."""

STOP_GRACE_S = 0.2


class Server:
    """One server process; nothing is built before `start`, because the hub belongs to its event loop."""

    def __init__(self, settings: Settings, features: Features | None = None) -> None:
        self.settings = settings
        self._plugged = in_order(listed_features() if features is None else features)
        self.server_id = settings.server_id or readable_id()
        self.is_accepting = False
        self.descriptors = 0
        self.background = Background()
        self.registry = Registry()
        self.proxies = TrustedProxies(
            word.strip() for word in settings.trusted_proxies.split(",") if word.strip()
        )
        self.apps_origin = (
            AppsOrigin(settings.apps_origin, settings.announced_base_url) if settings.apps_origin else None
        )
        self.health = Health(version=__version__, connections=lambda: connections_of(self.hub))
        self.inner_clients = InnerClients(self)
        self.features: list[Feature] = []
        self.lasting: LastingAnswers
        self.folder: DataFolder | None = None
        self.store: Store | None = None
        self.hub: Hub
        self.http_peer: LocalPeer
        self.tokens: TokenAuthority
        self.guard: Guard
        self.rates: Rates
        self.tenancy: Tenancy
        self.workspaces: Workspaces
        self.members: Members
        self.offering: Offering
        self.selection: Selection
        self.manager_service: BuiltinService
        self.reception: Reception
        self.credentials: Credentials
        self.context: FeatureContext
        self.http: HttpApplication
        self.workbench = Workbench(WorkLimits.of_bodies(settings.max_body_bytes))
        self._started = False
        self._stopping = False

    @property
    def data_shown(self) -> str:
        """Where the data lies, for a person."""
        if self.folder is None:
            return ""
        if self.store is None or not self.settings.database_uri:
            return self.folder.shown
        rest = (
            "all else in memory, not kept" if self.folder.path is None else f"all else in {self.folder.shown}"
        )
        return f"records in {self.store.shown}; {rest}"

    @property
    def app(self) -> HttpApplication:
        """The ASGI application of a started server."""
        return self.http

    @property
    def http_protocol(self) -> type[HubHttpProtocol]:
        """uvicorn's HTTP protocol with the hub's WebSocket behind the upgrade."""
        from hypha.transports.upgrade import hub_http_protocol

        settings = self.settings
        return hub_http_protocol(
            self.reception,
            settings.url_path,
            lambda: new_frame_rate(self),
            self.proxies.address_in,
            head_timeout_s=settings.head_timeout_s,
            stall_timeout_s=settings.answer_stall_timeout_s,
            is_elsewhere=self._is_elsewhere if self.apps_origin is not None else None,
        )

    def _is_elsewhere(self, scope: Any) -> bool:
        """Whether an upgrade was sent to the origin of applications, where the hub is not."""
        self.proxies.enter(scope)
        return self.apps_origin is not None and self.apps_origin.is_asked(scope)

    async def start(self) -> None:
        """Open the stores, build the parts, run the startup functions, become ready.

        Raises:
            ConfigurationError: the server cannot start so; its text is for the user.
        """
        try:
            self.descriptors = raise_limit()
            folder, store = await self._open_stores()
            keep_frame_buffers()
            self._build_hub(folder)
            await self._open_access(folder, store)
            await self._build_tenancy(folder, store)
            await self._start_features(folder, store)
            self.http = build_http(self)
            self.tenancy.catalogue.keep_free(self.http.words)
            await self.inner_clients.run_startup_functions()
        except BaseException:
            await self.stop()
            raise
        self._start_background_work(store)
        gc.collect()
        gc.freeze()  # what lives as long as the server need not be looked at again and again
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._started = True
        self.is_accepting = True
        self.health.is_ready = True

    async def _open_stores(self) -> tuple[DataFolder, Store]:
        settings = self.settings
        self.folder = folder = DataFolder.open(settings.data_dir, settings.announced_base_url)
        self.store = store = Store(settings.database_uri or folder.database_url)
        await store.open(settings.announced_base_url)
        self.health.add_check("store", store.condition.state)
        return folder, store

    def _build_hub(self, folder: DataFolder) -> None:
        settings = self.settings
        base_url = settings.announced_base_url
        self.hub = hub = Hub(
            folder.manager_id(),
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

    async def _open_access(self, folder: DataFolder, store: Store) -> None:
        settings, hub = self.settings, self.hub
        self.tokens = await open_tokens(settings, folder, store, hub)
        self.guard = await open_guard(settings, store, self.tokens, hub)
        self.rates = Rates(RateLimits.from_settings(settings), hub.time)

    async def _build_tenancy(self, folder: DataFolder, store: Store) -> None:
        settings, hub = self.settings, self.hub
        seal = Seal(folder.secret("sealing"))
        self.tenancy = Tenancy.build(
            store,
            settings,
            seal,
            hub.publish,
            partial(end_clients_of, hub),
            self.tokens.revocations.apply,
            lambda workspace: self.members.standing.workspace_changed(workspace),
            partial(end_clients_of, hub),
            self.tokens.revocations.ends,
        )
        self.workspaces = self.tenancy.workspaces
        await self.workspaces.start()
        self.members = Members(hub, self.registry, self.workspaces, store.subscriptions, self.background)
        await self.members.load()
        hub.membership = self.members
        hub.on_refused = self.guard.note_refused_frame
        self.offering = Offering(hub, self.registry, self.server_id, settings.announced_base_url)
        self.offering.on_refused = self.guard.note_refused
        assert hub.manager is not None
        self.selection = Selection(self.registry, hub, hub.manager)
        self.manager_service = build_manager(self)
        self.reception = Reception(
            hub,
            Admission(self.tokens, self.workspaces, serves_anonymous=settings.allow_anonymous),
            self.tokens,
            self.members,
            connection_facts(settings, hub.manager_id),
            Limits.from_settings(settings),
            lambda: self.is_accepting,
            self.guard,
            self.rates,
            Sockets.of_settings(settings, self.descriptors, hub.time, self.proxies.trusts),
        )

    async def _start_features(self, folder: DataFolder, store: Store) -> None:
        settings = self.settings
        self.credentials = Credentials(
            self.tokens.authenticate,
            self.workspaces,
            check_user=partial(check_http_user, self.guard.blocklist, self.hub),
            serves_anonymous=settings.allow_anonymous,
            origins=Origins(settings.announced_base_url, self.proxies),
        )
        self.lasting = LastingAnswers(
            partial(check_standing, self.guard, self.tokens, self.workspaces, self.hub)
        )
        self.context = self._feature_context(folder, store)
        for make in self._plugged:
            feature = make()
            await feature.start(replace(self.context, _feature=make))
            self.features.append(feature)

    def _feature_context(self, folder: DataFolder, store: Store) -> FeatureContext:
        settings, objects = self.settings, Objects()
        objects.provide(Workspaces, self.workspaces, "core")
        return FeatureContext(
            settings=settings,
            server_id=self.server_id,
            base_url=settings.announced_base_url,
            services=ServicesPort(self.offering, self.hub),
            data=DataPort(store, store.usage, self.tenancy.quotas, folder.secret),
            tasks=TasksPort(self.background),
            events=EventsPort(self.workspaces, self.members),
            _feature=Feature,
            _objects=objects,
            hub=self.hub,
            registry=self.registry,
            selection=self.selection,
            tenancy=self.tenancy,
            tokens=self.tokens,
            credentials=self.credentials,
            store=store,
            offer=self.offering.offer,
            start=self.background.start,
            secret=folder.secret,
            add_check=self.health.add_check,
            guard=self.guard,
            members=self.members,
            server=self,
            rates=self.rates,
        )

    def _start_background_work(self, store: Store) -> None:
        settings = self.settings
        idle_s = settings.ws_idle_timeout_s
        every_s = min(settings.activity_check_interval_s, idle_s / 4) if idle_s > 0 else 10.0
        self.hub.pulse.start_liveness(idle_s, max(every_s, 0.2))
        start = self.background.start
        start(self._after_window(), "cleaning up after the last run")
        start(store.watch(), "watching the database")
        start(store.claim.keep(partial(signal.raise_signal, signal.SIGTERM)), "keeping the database")
        start(self.lasting.run(), "looking after answers that last")
        watch = StreamWatch(self.hub, WatchLimits.from_settings(settings), self._hosts_built_in)
        start(watch.run(), "looking for dead streams")
        start(self.guard.audit.run(), "writing the audit log")
        start(self.tenancy.event_log.forget_old(settings.event_retention_s), "forgetting old events")
        if self.guard.issued is not None:
            start(self.guard.issued.note_use(), "noting the use of tokens")
        start(trim_regularly(settings.malloc_trim_interval_s), "giving back memory")

    def _hosts_built_in(self, client: Client) -> bool:
        return self.registry.get(client.workspace, client.client_id, BUILT_IN) is not None

    async def _after_window(self) -> None:
        await asyncio.sleep(self.settings.resume_window_s * 2)
        await self.members.forget_absent()

    def get_workspace_interface(
        self, user: User | None = None, workspace: str = "public", client_id: str | None = None
    ) -> Opening:
        """A client inside this process, acting as `user` (root by default) in a workspace.

        `await` it to keep it; `async with` disconnects it at the end.
        """
        return Opening(lambda: self.inner_clients.open(workspace, user, client_id))

    def begin_stop(self) -> None:
        """Take nothing new from now on: not ready, no handshakes, no requests but the POSTs of streams."""
        self.is_accepting = False
        self.health.is_ready = False

    @property
    def awaits_posts(self) -> bool:
        """True while a client on an HTTP stream owes an answer, which comes as a request of its own."""
        return any(
            client.pending and client.connection_type == "http_streaming"
            for client in self.hub.live_clients()
        )

    def end_streams(self) -> None:
        """End the links that are inside requests: a web server waits for its requests before it stops."""
        for link in self._links():
            if link.kind != "inner" and not link.acknowledges:
                link.close(1001, GOODBYE)

    async def stop(self) -> None:
        """Say goodbye to all clients, flush and close everything; may be called at any stage.

        A part that fails to stop is logged and keeps no other part from being stopped.
        """
        if self._stopping:
            return
        self._stopping = True
        async with AsyncExitStack() as parts:  # goes on to the last part even when it is cancelled
            for what, end in reversed(list(self._endings())):
                parts.push_async_callback(_end, what, end)

    def _endings(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        """How each part that was made is stopped, in order."""
        yield "taking new work", self.begin_stop
        if hasattr(self, "workspaces"):
            yield "the workspaces", self.workspaces.stop
        if self._started:
            yield "the links of clients", self._say_goodbye
        for feature in reversed(self.features):
            yield type(feature).__name__, feature.stop
        yield "the background work", self.background.close
        yield "the work on large bodies", self.workbench.close
        if hasattr(self, "offering"):
            yield "the offering of services", self.offering.close
        if hasattr(self, "hub"):
            for peer in (self.hub.manager, getattr(self, "http_peer", None)):
                if peer is not None:
                    yield f"the peer {peer.address}", peer.close
            yield "the hub's timers", self.hub.pulse.stop
        if hasattr(self, "guard") and self.guard.issued is not None:
            yield "the register of tokens", self.guard.issued.close
        if self.store is not None:
            yield "the store", self.store.close
        if self.folder is not None:
            yield "the data folder", self.folder.close

    async def _say_goodbye(self) -> None:
        """Close every link with 1001, so that clients come back at once, and let buffers drain."""
        links = self._links()
        for link in links:
            link.close(1001, GOODBYE)
        if links:
            await asyncio.sleep(STOP_GRACE_S)

    def _links(self) -> list[Connection]:
        """The links of all clients; none before the hub is made."""
        clients = self.hub.live_clients() if hasattr(self, "hub") else ()
        return [client.connection for client in clients if client.connection is not None]


async def _end(what: str, end: Callable[[], Any]) -> None:
    """Stop one part, whatever that gives."""
    try:
        ending = end()
        if inspect.isawaitable(ending):
            await ending
    except Exception:
        logger.exception("Could not stop %s; the others are stopped", what)
