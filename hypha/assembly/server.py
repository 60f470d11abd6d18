"""The life of one server process: its parts are built in order, and taken down in the reverse order."""

from __future__ import annotations

import asyncio
import gc
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from hypha.assembly.core import Core, open_core
from hypha.assembly.edge import Edge, build_edge, http_protocol
from hypha.assembly.endings import Endings
from hypha.assembly.features import Features, Plugged, in_order, listed_features, start_features
from hypha.assembly.inner_clients import InnerClients, Opening
from hypha.assembly.replication import join_others
from hypha.assembly.tenants import Tenants, open_tenants
from hypha.assembly.upkeep import start_upkeep
from hypha.assembly.web import Doors, listed_doors
from hypha.features.base import PromptNames
from hypha.hub.connection import LinkKind
from hypha.ids import readable_id
from hypha.observe.memory import keep_frame_buffers
from hypha.transports.descriptors import raise_limit
from hypha.transports.websocket import GOODBYE

if TYPE_CHECKING:
    from hypha.auth.users import User
    from hypha.gateways.http.application import HttpApplication
    from hypha.hub.connection import Connection
    from hypha.hub.hub import Hub
    from hypha.settings import Settings
    from hypha.transports.upgrade import HubHttpProtocol
    from hypha.workspaces.lifecycle import Workspaces

SWITCH_INTERVAL_S = 0.001
"""The event loop waits so long, not 5 ms, for a thread that opens a large message."""

STOP_GRACE_S = 0.2


@dataclass(frozen=True, slots=True)
class Parts:
    """What a started server is made of, in the order in which it was built."""

    core: Core
    tenants: Tenants
    plugged: Plugged
    edge: Edge
    inner_clients: InnerClients


class Server:
    """One server process; nothing is built before `start`, because the hub belongs to its event loop."""

    def __init__(
        self, settings: Settings, features: Features | None = None, doors: Doors | None = None
    ) -> None:
        self.settings = settings
        self.server_id = settings.server_id or readable_id()
        self._features = in_order(listed_features() if features is None else features)
        self._doors = doors or listed_doors()
        self._endings = Endings()
        self._parts: Parts | None = None
        self._has_started = False
        self._is_stopping = self._has_wound_down = False

    @property
    def parts(self) -> Parts:
        """All parts of a started server."""
        if self._parts is None:
            raise RuntimeError("The server is not started.")
        return self._parts

    @property
    def data_shown(self) -> str:
        """Where the data lies, for a person."""
        return self.parts.core.data_shown

    @property
    def app(self) -> HttpApplication:
        """The ASGI application of a started server."""
        return self.parts.edge.app

    @property
    def workspaces(self) -> Workspaces:
        """All workspaces, for the operator at a prompt or in a startup function."""
        return self.parts.tenants.workspaces

    @property
    def http_protocol(self) -> type[HubHttpProtocol]:
        """uvicorn's HTTP protocol with the hub's WebSocket behind the upgrade."""
        return http_protocol(self.parts.core, self.parts.edge)

    async def start(self) -> None:
        """Open the stores, build the parts, run the startup functions, become ready.

        Raises:
            ConfigurationError: the server cannot start so; its text is for the user.
        """
        try:
            parts = self._parts = await self._build()
            await parts.inner_clients.run_startup_functions()
            await join_others(parts.core, parts.tenants.replica)
        except BaseException:
            await self.stop()
            raise
        start_upkeep(parts.core, parts.tenants, parts.edge)
        gc.collect()
        gc.freeze()  # what lives as long as the server need not be looked at again and again
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._has_started = True
        parts.core.health.is_ready = True

    async def _build(self) -> Parts:
        descriptors, endings = raise_limit(), self._endings
        keep_frame_buffers()
        core = await open_core(self.settings, self.server_id, endings)
        of_features = endings.inner()
        endings.add("the links of clients", partial(self._say_goodbye, core.hub))
        tenants = await open_tenants(core, endings)
        endings.add("taking new work", self.begin_stop)
        prompt = PromptNames(lambda: {"store": self, "app": self.app})
        plugged = await start_features(self._features, core, tenants, prompt, of_features)
        edge = build_edge(core, tenants, self._doors, plugged, descriptors)
        extras = {"store": self, "get_workspace_interface": self.get_workspace_interface}
        inner_clients = InnerClients(core, tenants, extras, plugged.for_startup, plugged.inside)
        return Parts(core, tenants, plugged, edge, inner_clients)

    def get_workspace_interface(
        self, user: User | None = None, workspace: str = "public", client_id: str | None = None
    ) -> Opening:
        """A client inside this process, acting as `user` (root by default) in a workspace.

        `await` it to keep it; `async with` disconnects it at the end.
        """
        return Opening(lambda: self.parts.inner_clients.open(workspace, user, client_id))

    def begin_stop(self) -> None:
        """Take nothing new from now on: not ready, no handshakes, no requests but the POSTs of streams."""
        if self._parts is not None:
            self._parts.core.health.is_ready = False

    @property
    def awaits_posts(self) -> bool:
        """True while a client on an HTTP stream owes an answer, which comes as a request of its own."""
        return any(
            client.pending and client.connection_type == LinkKind.HTTP_STREAM
            for client in self.parts.core.hub.clients.live()
        )

    def end_streams(self) -> None:
        """End the links that are inside requests: a web server waits for its requests before it stops."""
        for link in _links_of(self.parts.core.hub):
            if link.kind is not LinkKind.INNER and not link.acknowledges:
                link.close(1001, GOODBYE)

    async def wind_down(self) -> None:
        """End what features do with clients, while these have their links."""
        if self._parts is not None and not self._has_wound_down:
            self._has_wound_down = True
            await self._parts.plugged.wind_down()

    async def stop(self) -> None:
        """Say goodbye to all clients, flush and close everything; may be called at any stage.

        A part that fails to stop is logged and keeps no other part from being stopped.
        """
        if not self._is_stopping:
            self._is_stopping = True
            await self.wind_down()
            await self._endings.run()

    async def _say_goodbye(self, hub: Hub) -> None:
        """Close every link with 1001, so that clients come back at once, and let buffers drain."""
        links = _links_of(hub) if self._has_started else []
        for link in links:
            link.close(1001, GOODBYE)
        if links:
            await asyncio.sleep(STOP_GRACE_S)


def _links_of(hub: Hub) -> list[Connection]:
    return [client.connection for client in hub.clients.live() if client.connection is not None]
