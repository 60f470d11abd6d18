"""This replica among the others: what it enters for its clients, and how it keeps its lease."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from hypha.background import Tasks
from hypha.errors import BackendUnavailable, Conflict, LeaseLost
from hypha.presence.base import RENEW_EVERY_S
from hypha.presence.entries import ClientEntry, Rival, ServiceEntry, Taken
from hypha.replicas.mirrors import target_of
from hypha.replicas.packed import pack_record, pack_user, unpack_user
from hypha.replicas.seeking import Seeking
from hypha.replicas.watching import Watching
from hypha.wire.frames import payload

if TYPE_CHECKING:
    from hypha.auth.users import User
    from hypha.bus.base import Bus
    from hypha.hub.client import Client
    from hypha.hub.hub import Hub
    from hypha.hub.outbox import CallKey, PendingCall
    from hypha.presence.base import Presence
    from hypha.registry.index import Registry
    from hypha.registry.records import ServiceRecord
    from hypha.replicas.crossing import Crossing
    from hypha.wire.frames import Buffer, Frame

logger = logging.getLogger(__name__)

PATIENCE_S = 5.0
"""So long a newcomer waits for what the replicas share."""
_PAUSE_S = 0.2
_Result = TypeVar("_Result")
_SWEEP_EVERY = 20
"""Renewals of the lease between two looks for what is no longer asked for."""


class Replica:
    """What hub, registry and reception have to do with other replicas (their `Elsewhere`, `OtherReplicas` and
    `Stays`)."""

    def __init__(
        self, hub: Hub, registry: Registry, presence: Presence, bus: Bus, crossing: Crossing
    ) -> None:
        self._hub = hub
        self._registry = registry
        self._presence = presence
        self._bus = bus
        self._crossing = crossing
        self._watching = Watching(hub, registry, presence, crossing, self._is_needed, self._moved)
        self._seeking = Seeking(hub, presence, self._watching)
        self._tasks = Tasks()
        self.on_anew: list[Callable[[], Awaitable[None]]] = []
        """What is done after this replica was cut off from the others."""
        self.is_resident: Callable[[str], bool] = lambda workspace: False
        """Whether a workspace is in memory here."""
        self._entering: set[str] = set()
        """Addresses of clients that are being entered."""
        self.is_reached = False
        """Whether what the replicas share answers, and this one has its lease."""

    # -- its life

    async def open(self) -> None:
        """Be one of the replicas, and stay it until it is closed.

        Raises:
            BackendUnavailable: what they share cannot be reached.
        """
        await self._bus.open()
        await self._presence.open()
        self.is_reached = True
        self._tasks.start(self._keep())

    async def _keep(self) -> None:
        """Keep the lease."""
        beats = 0
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            beats += 1
            try:
                await self._presence.renew()
                if not self.is_reached:
                    await self._begin_anew()
            except LeaseLost:
                await self._recover()
            except BackendUnavailable:
                if self.is_reached:
                    logger.warning("What the replicas share cannot be reached")
                self.is_reached = False
            if beats % _SWEEP_EVERY == 0:
                self._watching.sweep()

    async def _recover(self) -> None:
        """The others took this replica for gone, or Redis came back empty."""
        try:
            await self._begin_anew()
        except BackendUnavailable:
            self.is_reached = False

    async def _begin_anew(self) -> None:
        """Take a new lease, and enter again what is here."""
        workspaces = self._watching.clear()
        await self._bus.renew()
        await self._presence.open()
        self._crossing.begin_anew()
        for client in self._hub.clients.all():
            if client.ended or client.is_inner:
                continue
            if await self.enter(client.workspace, client.client_id, client.user):
                for record in self._registry.of_client(client.workspace, client.client_id):
                    await self._offer(record)
            else:
                self._hub.end(client, "it has gone on at another replica")
        for workspace in workspaces:
            await self._watching.prepare(workspace, stays=True)
        for catch_up in self.on_anew:
            await catch_up()
        self.is_reached = True
        logger.warning("This replica is one of the deployment again")

    async def close(self) -> None:
        """Leave the others."""
        await self._tasks.close()
        await self._seeking.close()
        await self._presence.close()
        await self._bus.close()

    def _has_clients(self, workspace: str) -> bool:
        return bool(self._hub.clients.of(workspace))

    def has_mirrors(self, workspace: str) -> bool:
        """Whether somebody is in a workspace at another replica, as far as this one knows."""
        return bool(self._hub.clients.mirrors_in(workspace))

    def _is_needed(self, workspace: str) -> bool:
        """Whether it must be known who is in a workspace."""
        if self._hub.clients.of(workspace):
            return True
        return self.is_resident(workspace) and self.has_mirrors(workspace)

    def tell(self, kind: str, body: bytes) -> None:
        """Tell all other replicas something."""
        self._bus.tell(None, kind, body)

    # -- clients of this replica

    async def enter(
        self, workspace: str, client_id: str, user: User, over: Client | None = None, *, moves: bool = False
    ) -> bool:
        """Have a client's id in the whole deployment; False if another client has it.

        Args:
            over: the client of another replica whose place it takes.
            moves: it is that very client, and keeps its services and the calls to it.

        Raises:
            BackendUnavailable: the others cannot be asked.
        """
        address = f"{workspace}/{client_id}"
        if address in self._entering or address in self._crossing.stays:
            return False
        self._entering.add(address)
        try:
            entry = ClientEntry(workspace, client_id, user.id, facts=pack_user(user))
            generation = target_of(over).generation if over is not None and not over.ended else None
            await self._patiently(lambda: self._bus.listen(workspace))  # before others hear of it
            result = await self._patiently(
                lambda: self._presence.enter(entry, generation, keeps_services=moves)
            )
            if isinstance(result, Taken) and result.by.replica == self._presence.replica:
                result = await self._presence.enter(entry, result.by.generation)  # an answer was lost
            if isinstance(result, Taken):
                return False
            self._crossing.stays[address] = result.client.generation
        finally:
            self._entering.discard(address)
        known = self._hub.clients.mirror(address)
        if known is not None:
            if moves:
                calls, known.pending = known.pending, {}
                self._watching.adopt(workspace, client_id)
                asyncio.get_running_loop().call_soon(self._take_over, address, calls)
            self._crossing.mirrors.end(known)
        return True

    def _take_over(self, address: str, calls: dict[CallKey, PendingCall]) -> None:
        """A client that has moved here has joined."""
        client = self._hub.clients.get(address)
        if client is not None and not client.is_mirror:
            self._crossing.take_over(client, calls)

    async def _patiently(self, wish: Callable[[], Awaitable[_Result]]) -> _Result:
        """Wish again for a while: the others may be out of reach for a moment.

        Raises:
            BackendUnavailable: they are for longer.
        """
        until = self._hub.time() + PATIENCE_S
        while True:
            try:
                return await wish()
            except BackendUnavailable:
                if self._hub.time() > until:
                    raise
            await asyncio.sleep(_PAUSE_S)

    def left(self, workspace: str, client_id: str) -> None:
        """A client of this replica has ended."""
        address = f"{workspace}/{client_id}"
        generation = self._crossing.stays.pop(address, None)
        if generation is None:
            return
        self._presence.leave(workspace, client_id, generation)
        self._crossing.left(address, generation)
        if not self._has_clients(workspace):
            self._bus.unlisten(workspace)

    def _moved(self, entry: ClientEntry) -> None:
        """A client of this replica goes on at another one, or another client has its id there."""
        address = f"{entry.workspace}/{entry.client_id}"
        client = self._hub.clients.get(address)
        generation = self._crossing.stays.pop(address, 0)
        if client is None or client.is_mirror:
            return
        if unpack_user(entry.facts).incarnation == client.user.incarnation:
            self._crossing.hand_over(client, entry)
        else:
            self._hub.end(client, "a client of another replica took its id")
        self._crossing.left(address, generation)
        if not self._has_clients(entry.workspace):
            self._bus.unlisten(entry.workspace)

    async def expect(self, workspace: str) -> None:
        """Let the hub know the clients that others have in a workspace to which one is about to come."""
        await self._patiently(lambda: self._watching.prepare(workspace, stays=True))

    async def has_clients(self, workspace: str) -> bool:
        """Whether anybody is in a workspace, wherever; False if that cannot be found out."""
        try:
            return bool(await self._presence.clients(workspace, 1))
        except BackendUnavailable:
            return False

    # -- services (`OtherReplicas`)

    async def prepare(self, workspace: str) -> None:
        """See `OtherReplicas`."""
        await self._watching.prepare(workspace)

    async def servers(self) -> Sequence[str]:
        """See `OtherReplicas`."""
        return [entry.replica for entry in await self._presence.replicas()]

    async def public(self) -> Sequence[ServiceRecord]:
        """See `OtherReplicas`."""
        return await self._watching.public()

    async def offer(self, record: ServiceRecord) -> None:
        """See `OtherReplicas`; while they cannot be reached it is offered later, with all else."""
        try:
            has_rival = await self._offer(record)
        except BackendUnavailable:
            self.is_reached = False
            return
        if has_rival:
            raise Conflict(
                f"A singleton service with the same name ({record.name}) already exists in the "
                f"workspace ({record.workspace}). Unregister it first, or choose another name."
            )

    async def _offer(self, record: ServiceRecord) -> bool:
        """True if a live rival has the name."""
        generation = self._crossing.stays.get(record.address)
        if generation is None:
            return False  # one of the server's own clients, which each replica has
        entry = ServiceEntry(
            *record.key,
            generation,
            record.type,
            record.app_id,
            is_public=record.visibility == "public" and not record.is_built_in,
            is_singleton=record.is_singleton,
            is_built_in=record.is_built_in,
            record=pack_record(record),
        )
        return isinstance(await self._presence.offer(entry), Rival)

    async def withdraw(self, record: ServiceRecord) -> None:
        """See `OtherReplicas`."""
        mirror = self._hub.clients.mirror(record.address)
        generation = self._crossing.stays.get(record.address)
        if mirror is not None:
            generation = target_of(mirror).generation
        if generation is None:
            return
        try:
            await self._presence.withdraw(*record.key, generation)
        except BackendUnavailable:
            self.is_reached = False

    # -- frames (`Elsewhere`)

    def publish(self, workspace: str, kind: str, frame: Frame) -> None:
        """See `Elsewhere`."""
        self._bus.publish(workspace, kind, bytes(payload(frame)))

    def end(self, mirror: Client, why: str) -> None:
        """See `Elsewhere`."""
        self._crossing.mirrors.end(mirror)

    def seek(self, sender: Client, address: str, data: Buffer) -> bool:
        """See `Elsewhere`."""
        return self.is_reached and self._seeking.take(sender, address, data)
