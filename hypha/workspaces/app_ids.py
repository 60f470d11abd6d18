"""Per-service app ids, asked from the provider after its registration was acknowledged.

The existing clients send the app id of the connection, and keep the one that a service itself
carries in their own map of the service. Reading it back never delays a registration.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from hypha.background import Background
from hypha.errors import HyphaError, InvalidRequest
from hypha.registry.balance import Peer
from hypha.registry.index import Registry
from hypha.registry.records import ServiceRecord, check_app_id

DEADLINE_S = 2.0
MAX_ASKED_AT_ONCE = 32


class AppIds:
    """Completes records whose app id is open: one question at a time per client, few in total.

    A client that does not answer in time is not asked about its other services of that batch; no
    answer counts as `*`.
    """

    def __init__(
        self, registry: Registry, peer: Peer, background: Background, deadline_s: float = DEADLINE_S
    ) -> None:
        self._registry = registry
        self._peer = peer
        self._background = background
        self._deadline_s = deadline_s
        self._gate = asyncio.Semaphore(MAX_ASKED_AT_ONCE)
        self._queues: dict[str, dict[str, None]] = {}
        """The names of the services of a client that are to be asked for: as many as it has services."""

    def ask(self, record: ServiceRecord) -> None:
        """Ask for the app id of a record that was just stored, some time soon."""
        if record.is_built_in or record.app_id != "*":
            return
        client = f"{record.workspace}/{record.client_id}"
        queue = self._queues.get(client)
        if queue is not None:
            queue[record.name] = None
            return
        self._queues[client] = {record.name: None}
        work = self._work(client, record.workspace, record.client_id)
        what, is_stranger = f"reading app ids of {client}", record.is_of_stranger
        if not self._background.start(work, what, party=record.workspace, is_stranger=is_stranger):
            del self._queues[client]

    async def _work(self, client: str, workspace: str, client_id: str) -> None:
        queue = self._queues[client]
        try:
            async with self._gate:
                while queue:
                    name = next(iter(queue))
                    del queue[name]
                    record = self._registry.get(workspace, client_id, name)
                    if record is not None and not await self._complete(client, record):
                        return
        finally:
            self._queues.pop(client, None)

    async def _complete(self, client: str, record: ServiceRecord) -> bool:
        """Store what the client answers; False if it does not."""
        if record.app_id != "*":
            return True
        try:
            async with asyncio.timeout(self._deadline_s):
                service = await self._peer.call(
                    client, "services.built-in.get_service", [record.name], timeout_s=self._deadline_s
                )
        except (HyphaError, TimeoutError):
            return False
        app_id = _app_id_of(service)
        if app_id != "*" and self._registry.get(*record.key) is record:
            self._registry.add(record.with_app(app_id))
        return True


def _app_id_of(service: Any) -> str:
    """What the provider's map says, `*` if that is nothing usable."""
    if not isinstance(service, Mapping):
        return "*"
    try:
        return check_app_id(service.get("app_id") or "*")
    except InvalidRequest:
        return "*"
