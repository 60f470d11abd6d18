"""Registering services: what is checked and what is stored is one step, into which nobody else comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hypha.errors import Conflict, QuotaExceeded
from hypha.registry.records import BUILT_IN, ServiceRecord

if TYPE_CHECKING:
    from hypha.hub.hub import Hub
    from hypha.registry.index import Registry

STRANGERS_SHARE = 4
"""Services of anonymous users have that part of what the infos of all services may take."""


class ServiceLimits(Protocol):
    """The settings that bound what is registered; 0: no bound."""

    @property
    def max_services_per_client(self) -> int:
        """Services of one client."""

    @property
    def max_services_per_workspace(self) -> int:
        """Services of one workspace."""

    @property
    def max_service_bytes_per_client(self) -> int:
        """What the infos of one client's services may take."""

    @property
    def max_service_bytes_per_workspace(self) -> int:
        """The same of a workspace."""

    @property
    def max_service_bytes(self) -> int:
        """The same of all."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A service is found from now on.

    `replaced` had its key before; `displaced` claimed its name, and their clients are between two links.
    """

    replaced: ServiceRecord | None
    displaced: tuple[ServiceRecord, ...]


class Registering:
    """Changes the registry of this process: it waits for nothing but other replicas, where there are some."""

    def __init__(self, registry: Registry, hub: Hub, limits: ServiceLimits) -> None:
        self._registry = registry
        self._hub = hub
        self._limits = limits

    async def add(self, record: ServiceRecord) -> Registered:
        """Register a service, in place of the one of its key.

        Raises:
            QuotaExceeded: its client, its workspace or all would have too many, or too large ones.
            Conflict: a live client offers one of this name, and one of the two is a singleton.
        """
        known = self._registry.get(*record.key)
        self._check_bytes(record, known)
        if known is None:
            self._check_count(record)
        displaced = self._displaced_by(record)
        if self._registry.elsewhere is not None:
            await self._registry.elsewhere.offer(record)
        for other in displaced:
            self._registry.remove(*other.key)
        self._registry.add(record)
        return Registered(known, displaced)

    async def remove(self, workspace: str, client_id: str, name: str) -> ServiceRecord | None:
        """Forget a service and return it; None if there is none."""
        record = self._registry.remove(workspace, client_id, name)
        if record is not None and self._registry.elsewhere is not None:
            await self._registry.elsewhere.withdraw(record)
        return record

    def _check_count(self, record: ServiceRecord) -> None:
        registry, most = self._registry, self._limits.max_services_per_client
        count = registry.count_of_client(record.workspace, record.client_id)
        count -= registry.get(record.workspace, record.client_id, BUILT_IN) is not None
        if count >= most and not record.is_built_in and most > 0:
            raise QuotaExceeded(
                f"Service quota exceeded: client {record.client_id} already has {count} services "
                f"(max {most}). Unregister some first."
            )
        most = self._limits.max_services_per_workspace
        if 0 < most <= registry.count_of_workspace(record.workspace) and not record.is_built_in:
            raise QuotaExceeded(
                f"Service quota exceeded: workspace {record.workspace} already has {most} services "
                "(the most that this server allows). Unregister some first."
            )

    def _check_bytes(self, record: ServiceRecord, known: ServiceRecord | None) -> None:
        """Refuse what would make the infos of a client, a workspace or all of them too large."""
        registry, limits = self._registry, self._limits
        more = record.size_bytes - (known.size_bytes if known is not None else 0)
        if more <= 0:
            return
        of_all = limits.max_service_bytes // (STRANGERS_SHARE if record.is_of_stranger else 1)
        for used, most, whose in (
            (
                registry.bytes_of_client(record.workspace, record.client_id),
                limits.max_service_bytes_per_client,
                f"client {record.client_id}",
            ),
            (
                registry.bytes_of_workspace(record.workspace),
                limits.max_service_bytes_per_workspace,
                f"workspace {record.workspace}",
            ),
            (registry.bytes_of_all(strangers=record.is_of_stranger), of_all, "this server"),
        ):
            if 0 < most < used + more:
                raise QuotaExceeded(
                    f"Service quota exceeded: the descriptions of the services of {whose} would take more "
                    f"than {most} bytes. Shorten docs and schemas, or unregister some first."
                )

    def _displaced_by(self, record: ServiceRecord) -> tuple[ServiceRecord, ...]:
        """The services that give way: a singleton has no second live holder of its name beside it."""
        if record.is_built_in:
            return ()
        rivals = self._registry.holders if record.is_singleton else self._registry.singletons
        others = tuple(
            other for other in rivals(record.workspace, record.name) if other.client_id != record.client_id
        )
        for other in others:
            client = self._hub.client(other.workspace, other.client_id)
            if client is None or client.is_live:
                raise Conflict(
                    f"A singleton service with the same name ({record.name}) already exists in the "
                    f"workspace ({record.workspace}). Unregister it first, or choose another name."
                )
        return others
