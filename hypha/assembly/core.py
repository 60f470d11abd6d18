"""The core of a server: what lasts, who may do what, and the hub. It is built first and taken down last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypha import __version__
from hypha.assembly.access import open_guard, open_tokens
from hypha.assembly.readings import connections_of
from hypha.assembly.shared_secrets import shared_manager_id
from hypha.auth.expected import ExpectedClients
from hypha.background import Background
from hypha.datafolder import DataFolder
from hypha.hub.gateway_peer import GatewayPeer
from hypha.hub.hub import Hub, HubLimits
from hypha.hub.rates import RateLimits, Rates
from hypha.hub.service_peer import ServicePeer
from hypha.ids import random_id
from hypha.observe.health import Health
from hypha.registry.index import Registry
from hypha.registry.offering import Offering
from hypha.store import Store
from hypha.web.client_address import TrustedProxies
from hypha.web.workbench import Workbench, WorkLimits

if TYPE_CHECKING:
    from hypha.assembly.endings import Endings
    from hypha.auth.guard import Guard
    from hypha.auth.tokens import TokenAuthority
    from hypha.settings import Settings


@dataclass(frozen=True, slots=True)
class Core:
    """What all other parts stand on."""

    settings: Settings
    server_id: str
    health: Health
    folder: DataFolder
    store: Store
    hub: Hub
    manager_peer: ServicePeer
    http_peer: GatewayPeer
    tokens: TokenAuthority
    guard: Guard
    expected: ExpectedClients
    rates: Rates
    registry: Registry
    offering: Offering
    proxies: TrustedProxies
    background: Background
    workbench: Workbench

    @property
    def base_url(self) -> str:
        """Where people find the server."""
        return self.settings.announced_base_url

    @property
    def data_shown(self) -> str:
        """Where the data lies, for a person."""
        if not self.settings.database_uri:
            return self.folder.shown
        rest = (
            "all else in memory, not kept" if self.folder.path is None else f"all else in {self.folder.shown}"
        )
        return f"records in {self.store.shown}; {rest}"


async def open_core(settings: Settings, server_id: str, endings: Endings) -> Core:
    """Open data folder and database, and build what needs nothing else.

    Raises:
        ConfigurationError: they cannot be used; its text is for the user.
    """
    folder, store = await open_data(settings, server_id, endings)
    hub = Hub(shared_manager_id(settings) or folder.manager_id(), HubLimits.from_settings(settings))
    tokens = await open_tokens(settings, folder, store, hub)
    guard = await open_guard(settings, store, tokens, hub)
    if guard.issued is not None:
        endings.add("the register of tokens", guard.issued.close)
    endings.add("the hub's timers", hub.stop)
    manager_peer, http_peer = add_peers(hub, settings.announced_base_url, endings)
    registry = Registry()
    offering = Offering(hub, registry, server_id, settings.announced_base_url, guard.note_refused)
    endings.add("the offering of services", offering.close)
    workbench = Workbench(WorkLimits.of_bodies(settings.max_body_bytes))
    endings.add("the work on large bodies", workbench.close)
    background = Background()
    endings.add("the background work", background.close)
    health = Health(version=__version__, connections=lambda: connections_of(hub))
    health.add_check("store", store.condition.state)
    rates = Rates(RateLimits.from_settings(settings), hub.time)
    proxies = TrustedProxies(filter(None, (word.strip() for word in settings.trusted_proxies.split(","))))
    return Core(
        settings=settings, server_id=server_id, health=health, folder=folder, store=store, hub=hub,
        manager_peer=manager_peer, http_peer=http_peer, tokens=tokens, guard=guard, rates=rates,
        expected=ExpectedClients(), registry=registry, offering=offering, proxies=proxies,
        background=background, workbench=workbench,
    )  # fmt: skip


async def open_data(settings: Settings, server_id: str, endings: Endings) -> tuple[DataFolder, Store]:
    """What lasts: the folder is locked, the database in the newest shape."""
    folder = DataFolder.open(settings.data_dir, settings.announced_base_url)
    endings.add("the data folder", folder.close)
    store = Store(settings.database_uri or folder.database_url)
    endings.add("the store", store.close)
    await store.open(settings.announced_base_url, server_id, shares=bool(settings.redis_uri))
    return folder, store


def add_peers(hub: Hub, base_url: str, endings: Endings) -> tuple[ServicePeer, GatewayPeer]:
    """The ends of the manager and of calls by HTTP, inside the server."""
    http_peer = GatewayPeer(hub.peer_ports, f"http-{random_id(8)}", base_url)
    hub.peers.add_everywhere(http_peer.peer_id, http_peer)
    manager_peer = ServicePeer(hub.peer_ports, f"*/{hub.manager_id}", base_url)
    hub.peers.add_manager(manager_peer)
    for peer in (http_peer, manager_peer):
        endings.add(f"the peer {peer.address}", peer.close)
    return manager_peer, http_peer
