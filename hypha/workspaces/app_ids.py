"""Per-service app ids, which the provider is asked for, and what becomes of those of no application.

The existing clients send the app id of the connection, and keep the one that a service itself carries in
their own map of the service. In a workspace with applications a registration waits until it is read; else
that delays nobody, and a service whose app id then turns out to be unknown is removed again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hypha.background import Background
from hypha.errors import CallFailed, HyphaError, InvalidRequest, NotFound
from hypha.hub.calls import GET_SERVICE
from hypha.limits import BoundedMap
from hypha.registry.applications import ANY_APP, Applications
from hypha.registry.balance import Peer
from hypha.registry.index import Key, Registry
from hypha.registry.records import ServiceRecord, check_app_id
from hypha.registry.registering import Registering

if TYPE_CHECKING:
    from hypha.hub.hub import Hub

logger = logging.getLogger(__name__)

DEADLINE_S = 2.0
SILENCE_S = 10.0
"""A client that did not answer in time is not asked again for so long by registrations, which would wait."""
MAX_ASKED_AT_ONCE = 32
MAX_SILENT = 1000


class AppIds:
    """Completes records whose app id is open, and refuses app ids that no application has.

    In the background one question at a time is put to a client, and few in total. A client that does not
    answer in time is not asked about its other services of that batch; no answer counts as `*`.
    """

    def __init__(
        self,
        registering: Registering,
        registry: Registry,
        applications: Applications,
        hub: Hub,
        peer: Peer,
        background: Background,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._registering = registering
        self._registry = registry
        self._applications = applications
        self._hub = hub
        self._peer = peer
        self._background = background
        self._deadline_s = deadline_s
        self._gate = asyncio.Semaphore(MAX_ASKED_AT_ONCE)
        self._queues: dict[str, dict[str, None]] = {}
        """The names of the services of a client that are to be asked for: as many as it has services."""
        self._under_way: dict[Key, object] = {}
        """Registrations that wait: the last one of each service, which alone is stored in the end."""
        self._silent: BoundedMap[str, float] = BoundedMap(MAX_SILENT)
        """Until when clients that did not answer are left alone."""

    async def before(self, record: ServiceRecord) -> tuple[ServiceRecord, bool] | None:
        """A record that is about to be stored with its app id, and whether to `ask` for that afterwards.

        None if it shall not be stored any more: the service was registered anew or unregistered meanwhile.

        Raises:
            AppNotFound: no application has it. InvalidAddress: it is none.
        """
        key, ticket = record.key, object()
        self._under_way[key] = ticket
        try:
            found = await self._complete_before(record)
            return found if self._under_way.get(key) is ticket else None
        finally:
            if self._under_way.get(key) is ticket:
                del self._under_way[key]

    def give_up(self, key: Key) -> bool:
        """Let no registration of a service that waits be stored; False if none does."""
        return self._under_way.pop(key, None) is not None

    async def _complete_before(self, record: ServiceRecord) -> tuple[ServiceRecord, bool]:
        if record.app_id == ANY_APP:
            own = self._applications.of_program(record.workspace, record.client_id)
            record = record if own is None else record.with_app(own)
        if record.app_id != ANY_APP:
            await self._check(record)
            return record, False
        if not self._applications.has_any(record.workspace):
            return record, True
        now = asyncio.get_running_loop().time()
        if (self._silent.get(record.address) or now) > now:
            return record, True
        service = await self._read(record)
        if service is None:
            self._silent.put(record.address, now + self._deadline_s + SILENCE_S)
            return record, True
        record = record.with_app(_app_id_of(service))
        await self._check(record)
        return record, False

    def ask(self, record: ServiceRecord) -> None:
        """Ask for the app id of a record that was just stored, some time soon."""
        client = record.address
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
                    if record is not None and not await self._complete(record):
                        return
        finally:
            self._queues.pop(client, None)

    async def _complete(self, record: ServiceRecord) -> bool:
        """Store what the client answers; False if it does not."""
        service = await self._read(record)
        if service is None:
            return False
        try:
            known = record.with_app(_app_id_of(service))
            await self._check(known)
        except (InvalidRequest, NotFound) as error:
            await self._refuse(record, error)
            return True
        except HyphaError as fault:  # nobody knows whether there is such an application
            logger.warning("The app id of %s could not be looked for: %s", record.id, fault.message)
            return True
        if known.app_id != record.app_id and self._registry.get(*record.key) is record:
            self._registry.add(known)
        return True

    async def _check(self, record: ServiceRecord) -> None:
        if not record.skips_app_check:
            await self._applications.check(record.workspace, record.app_id)

    async def _read(self, record: ServiceRecord) -> object:
        """The service as its client has it, if it says so; None if it does not answer in time."""
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._peer.call(
                    record.address, GET_SERVICE, [record.name], timeout_s=self._deadline_s
                )
        except CallFailed:
            return {}
        except (HyphaError, TimeoutError):
            return None

    async def _refuse(self, record: ServiceRecord, error: HyphaError) -> None:
        """Remove a service that was stored, unless it is another one by now, and tell its client why."""
        if self._registry.get(*record.key) is not record:
            return
        await self._registering.remove(*record.key)
        self._hub.events.publish(record.workspace, "service_removed", record.to_info())
        client = self._hub.client(record.workspace, record.client_id)
        if client is not None:
            text = f"The service {record.id} was removed. {error.message}"
            client.tell({"type": "error", "message": text, "service_id": record.id})


def _app_id_of(service: object) -> str:
    """The app id in the provider's map; `*` without one.

    Raises:
        InvalidAddress: it cannot be one.
    """
    given: Any = service.get("app_id") if isinstance(service, Mapping) else None
    return check_app_id(given or ANY_APP)
