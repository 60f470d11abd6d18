"""Which workspaces are mirrored here: all clients and services that other replicas have in them.

Those in which this replica has clients are mirrored for as long as it has; others for a while after somebody
here has asked for them. What changes is heard, so that nothing has to be looked up a second time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypha.presence.entries import (
    Change,
    ClientChanged,
    ClientEntered,
    ClientEntry,
    ClientLeft,
    ReplicaEnded,
    ServiceEntry,
    ServiceOffered,
    ServiceWithdrawn,
    Wanted,
)
from hypha.registry.records import ServiceRecord
from hypha.replicas.mirrors import target_of
from hypha.replicas.packed import unpack_record
from hypha.wire.frames import encode

if TYPE_CHECKING:
    from hypha.hub.hub import Hub
    from hypha.presence.base import Presence
    from hypha.registry.index import Registry
    from hypha.replicas.crossing import Crossing

logger = logging.getLogger(__name__)

IDLE_S = 60.0
"""How long a workspace stays mirrored that nobody here asks for."""


@dataclass(slots=True, eq=False)
class _Watched:
    """A workspace that is mirrored."""

    loaded: asyncio.Future[None]
    used_at: float
    services: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """Services of other replicas that the registry holds for it: the generation of each."""


class Watching:
    """The mirrored workspaces.

    Args:
        is_needed: whether a workspace must stay mirrored, though nobody asks for it.
        on_moved: hears of a client of this replica that has gone on at another one.
    """

    def __init__(
        self,
        hub: Hub,
        registry: Registry,
        presence: Presence,
        crossing: Crossing,
        is_needed: Callable[[str], bool],
        on_moved: Callable[[ClientEntry], None],
    ) -> None:
        self._hub = hub
        self._registry = registry
        self._presence = presence
        self._crossing = crossing
        self._is_needed = is_needed
        self._on_moved = on_moved
        self._watched: dict[str, _Watched] = {}
        presence.follow(self._hear)

    # -- which

    async def prepare(self, workspace: str, *, stays: bool = False) -> None:
        """Let the hub and the registry hold what others have in a workspace.

        Args:
            stays: also if nobody is there yet, for somebody here is about to come.

        Raises:
            BackendUnavailable: it cannot be asked for.
        """
        watched = self._watched.get(workspace)
        if watched is not None:
            watched.used_at = self._hub.time()
            await asyncio.shield(watched.loaded)
            return
        loaded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        watched = self._watched[workspace] = _Watched(loaded, self._hub.time())
        try:
            await self._load(workspace)
        except BaseException as error:
            if self._watched.get(workspace) is watched:
                self._drop(workspace)
            loaded.set_exception(error if isinstance(error, Exception) else ConnectionError())
            loaded.exception()
            raise
        loaded.set_result(None)
        if not stays and self._watched.get(workspace) is watched and not self._is_used(workspace):
            self._presence.unwatch(workspace)
            self._drop(workspace)

    def _is_used(self, workspace: str) -> bool:
        """Whether anything is known of a workspace: for names that somebody made up nothing is kept."""
        is_needed = bool(self._watched[workspace].services) or self._is_needed(workspace)
        return is_needed or bool(self._hub.clients.mirrors_in(workspace))

    async def _load(self, workspace: str) -> None:
        presence = self._presence
        await presence.watch(workspace)
        clients, services = await asyncio.gather(
            presence.clients(workspace), presence.services(Wanted(workspace))
        )
        for client in clients:
            self.put_client(client)
        for service in services:
            self._put_service(service)

    def sweep(self) -> None:
        """Mirror no longer what nobody asks for."""
        now = self._hub.time()
        for workspace, watched in list(self._watched.items()):
            if self._is_needed(workspace):
                watched.used_at = now
            elif now - watched.used_at > IDLE_S and watched.loaded.done():
                self._presence.unwatch(workspace)
                self._drop(workspace)

    def clear(self) -> list[str]:
        """Forget all that is mirrored; the workspaces that were."""
        workspaces = list(self._watched)
        for workspace in workspaces:
            self._drop(workspace)
        return workspaces

    def _drop(self, workspace: str) -> None:
        watched = self._watched.pop(workspace)
        for key in watched.services:
            self._registry.remove(*key)
        for mirror in self._hub.clients.mirrors_in(workspace):
            self._crossing.mirrors.end(mirror)

    async def public(self) -> Sequence[ServiceRecord]:
        """Public services of workspaces that are not mirrored."""
        found = await self._presence.services(Wanted())
        return [
            unpack_record(service.record)
            for service in found
            if service.workspace not in self._watched and service.replica != self._presence.replica
        ]

    # -- what is heard

    def _hear(self, change: Change) -> None:
        match change:
            case ClientEntered(client, before):
                address = f"{client.workspace}/{client.client_id}"
                if before is not None and self._crossing.stays.get(address) == before:
                    self._on_moved(client)
                self.put_client(client)
                self._restamp(client)
            case ClientChanged(client):
                self.put_client(client)
            case ClientLeft(client):
                self._end_client(client, is_lost=change.is_lost)
            case ServiceOffered(service):
                self._put_service(service)
            case ServiceWithdrawn(service):
                self._end_service(service, is_lost=change.is_lost)
            case ReplicaEnded(replica):
                self._crossing.ended(replica)
                self._crossing.bus.forget(replica)

    def put_client(self, client: ClientEntry) -> None:
        """Know a client of another replica, in a workspace that is mirrored."""
        address = f"{client.workspace}/{client.client_id}"
        is_here = client.replica == self._presence.replica or address in self._crossing.stays
        if not is_here and client.workspace in self._watched:
            self._crossing.mirrors.put(client)

    def _restamp(self, client: ClientEntry) -> None:
        """The services that a client has kept are those of its stay elsewhere now."""
        watched = self._watched.get(client.workspace)
        if watched is not None and client.replica != self._presence.replica:
            for record in self._registry.of_client(client.workspace, client.client_id):
                watched.services[record.key] = client.generation

    def adopt(self, workspace: str, client_id: str) -> None:
        """A client has moved here: what the registry holds of it is its own now."""
        watched = self._watched.get(workspace)
        if watched is not None:
            for record in self._registry.of_client(workspace, client_id):
                watched.services.pop(record.key, None)

    def _end_client(self, client: ClientEntry, *, is_lost: bool) -> None:
        mirror = self._hub.clients.mirror(f"{client.workspace}/{client.client_id}")
        if mirror is None or target_of(mirror).generation > client.generation:
            return
        self._crossing.mirrors.end(mirror)
        if is_lost:
            facts = {"id": client.client_id, "workspace": client.workspace}
            self._tell(client.workspace, "client_disconnected", facts)

    def _put_service(self, service: ServiceEntry) -> None:
        watched = self._watched.get(service.workspace)
        if watched is None or service.replica == self._presence.replica:
            return
        try:
            record = unpack_record(service.record)
        except (ValueError, TypeError, KeyError):
            logger.warning("A service of the replica %s cannot be read", service.replica)
            return
        watched.services[service.key] = service.generation
        self._registry.add(record)

    def _end_service(self, service: ServiceEntry, *, is_lost: bool) -> None:
        watched = self._watched.get(service.workspace)
        generation = watched.services.get(service.key) if watched is not None else None
        is_own = self._crossing.stays.get(f"{service.workspace}/{service.client_id}") == service.generation
        if generation is not None and generation <= service.generation and watched is not None:
            del watched.services[service.key]
        elif not is_own:
            return
        record = self._registry.remove(*service.key)
        if is_lost and record is not None and not record.is_built_in:
            self._tell(service.workspace, "service_removed", record.to_info())

    def _tell(self, workspace: str, kind: str, facts: object) -> None:
        """Send an event of the server to clients here: its own replica, which would send it, is gone."""
        frame = encode({"type": kind, "to": "*", "data": facts})
        self._hub.events.spread(workspace, kind, frame)
