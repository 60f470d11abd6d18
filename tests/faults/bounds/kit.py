"""What attacks on bounds are made with: one server with small bounds, parts of it, and people."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as ws_connect

from hypha.builtins.service import BuiltinService
from hypha.hub.service_peer import ServicePeer
from hypha.store import Store
from hypha.testing import RawClient, ServerProcess
from tests.kit.builtins import function
from tests.kit.people import Person, make_person
from tests.kit.world import World
from tests.unit.workspaces.tenancy_kit import Tenants

ELSEWHERE = "127.0.0.2"
KIB = 1024
MIB = 1024 * KIB

SMALL = {
    "HYPHA_ANONYMOUS_QUOTA_SHARE": "1",
    "HYPHA_BODY_PATIENCE": "1",
    "HYPHA_HANDSHAKE_TIMEOUT": "2",
    "HYPHA_HEAD_TIMEOUT": "1",
    "HYPHA_HTTP_CALL_TIMEOUT": "1",
    "HYPHA_MAX_BODY": "300000",
    "HYPHA_MAX_CLIENTS_PER_WORKSPACE": "4",
    "HYPHA_MAX_CONCURRENT_CONNECTIONS": "12",
    "HYPHA_MAX_CONNECTIONS_PER_USER": "6",
    "HYPHA_MAX_FRAME": "700000",
    "HYPHA_MAX_HANDSHAKES_PER_ADDRESS": "8",
    "HYPHA_MAX_SERVICES_PER_CLIENT": "4",
    "HYPHA_MAX_SERVICES_PER_WORKSPACE": "6",
    "HYPHA_MAX_SERVICE_BYTES_PER_CLIENT": "40000",
    "HYPHA_MAX_SERVICE_BYTES_PER_WORKSPACE": "60000",
    "HYPHA_MAX_SERVICE_BYTES": "300000",
    "HYPHA_MAX_TOKENS_PER_USER": "3",
    "HYPHA_MAX_TOKEN_LIFE_TIME": "7200",
    "HYPHA_MAX_WORKSPACES_PER_USER": "2",
    "HYPHA_MAX_RUNNING_REQUESTS_PER_ADDRESS": "10",
    "HYPHA_MAX_VARIABLES_PER_WORKSPACE": "3",
    "HYPHA_MAX_SERVICE_TYPES_PER_WORKSPACE": "3",
    "HYPHA_MAX_BOOKMARKS_PER_WORKSPACE": "3",
    "HYPHA_MAX_EVENTS_PER_WORKSPACE": "12",
}
"""Options of the server that is attacked."""


class Kit:
    """Everything that one attack uses; closed after it.

    `patch` lowers constants for parts inside this process, where the real number would take long.
    """

    def __init__(self, server: ServerProcess, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self.server = server
        self.patch = patch
        self.folder = folder
        self.stack = contextlib.AsyncExitStack()

    def lower(self, constant: str, value: object) -> None:
        """Set a constant, given by its path."""
        module, _, name = constant.rpartition(".")
        self.patch.setattr(f"{module}.{name}", value)

    def world(self) -> World:
        """A hub with a clock that jumps."""
        made = World()
        self.stack.callback(made.hub.stop)
        return made

    async def manager(self, world: World, **functions: Any) -> ServicePeer:
        """A manager of that hub with a service of these functions."""
        made = {name: function(call) for name, call in functions.items()}
        peer = world.add_manager(BuiltinService("default", made, "m"))
        self.stack.push_async_callback(peer.close)
        return peer

    async def store(self) -> Store:
        """A store in memory."""
        return await self.stack.enter_async_context(Store(":memory:"))

    async def tenants(self, **quotas: float) -> Tenants:
        """Workspaces in a store in memory."""
        made = Tenants(await self.store(), **quotas)
        await made.workspaces.start()
        return made

    def person(self) -> Person:
        """A new registered user of the server."""
        return make_person(self.server)

    async def raw(self, person: Person | None = None, **fields: Any) -> RawClient:
        """A client of the server whose frames the attack writes."""
        if person is not None:
            fields.setdefault("token", person.token)
        client = await RawClient.connect(self.server.ws_url, **fields)
        self.stack.push_async_callback(client.close)
        return client

    async def http(
        self, person: Person | None = None, address: str = "127.0.0.1", timeout_s: float = 10.0
    ) -> httpx.AsyncClient:
        """A client of the server by HTTP."""
        headers = {"authorization": f"Bearer {person.token}"} if person is not None else {}
        made = httpx.AsyncClient(
            base_url=self.server.url,
            headers=headers,
            timeout=timeout_s,
            transport=httpx.AsyncHTTPTransport(local_address=address),
        )
        return await self.stack.enter_async_context(made)

    async def socket(self, address: str = "127.0.0.1") -> ClientConnection:
        """A WebSocket of the server that has sent nothing."""
        made = await ws_connect(
            self.server.ws_url, compression=None, ping_interval=None, local_addr=(address, 0), max_size=None
        )
        self.stack.push_async_callback(made.close)
        return made

    async def others_are_well(self) -> None:
        """Somebody else, from elsewhere, is served."""
        http = await self.http(address=ELSEWHERE)
        assert (await http.get("/health")).status_code == 200


@contextlib.asynccontextmanager
async def opened(kit: Kit) -> AsyncIterator[Kit]:
    """Close what an attack has opened, whatever happened."""
    async with kit.stack:
        yield kit
