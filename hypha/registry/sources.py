"""Where services are found: the registry knows those that run, other sources what can be started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from hypha.addresses import ServiceQuery
from hypha.auth.users import Context
from hypha.errors import ServiceNotFound
from hypha.registry.index import Registry, ServiceFilter
from hypha.registry.records import ServiceRecord


class ServiceSource(Protocol):
    """Knows services, running or not. Its reads are awaited, for it may ask elsewhere.

    Records of what does not run have the client id `*`. Who may see and use them is checked by whoever asks.
    """

    async def candidates(self, query: ServiceQuery) -> Sequence[ServiceRecord]:
        """What a service id can mean, in a lasting order."""

    async def find(self, wanted: ServiceFilter) -> Sequence[ServiceRecord]:
        """All records with the given parts."""

    async def running(self, record: ServiceRecord, context: Context) -> ServiceRecord:
        """The record of the same service with a client, started on behalf of a caller who may use it.

        Raises:
            ServiceNotFound: it cannot be started.
        """


class RunningServices:
    """The registry as a source."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def candidates(self, query: ServiceQuery) -> Sequence[ServiceRecord]:
        """See `ServiceSource`."""
        return self._registry.candidates(query)

    async def find(self, wanted: ServiceFilter) -> Sequence[ServiceRecord]:
        """See `ServiceSource`."""
        return self._registry.find(wanted)

    async def running(self, record: ServiceRecord, context: Context) -> ServiceRecord:
        """It runs, or is not here."""
        if not record.is_running:
            raise ServiceNotFound(f"Service not found: {record.id}@{record.app_id}")
        return record


class Sources:
    """All sources, those of running services first; later ones are asked for what earlier ones lack."""

    def __init__(self, registry: Registry) -> None:
        self._sources: list[ServiceSource] = [RunningServices(registry)]

    def __iter__(self) -> Iterator[ServiceSource]:
        return iter(self._sources)

    def add(self, source: ServiceSource) -> None:
        """Ask this one too, after all others."""
        self._sources.append(source)

    async def find(self, wanted: ServiceFilter, *, running_only: bool) -> list[ServiceRecord]:
        """The records to be listed, those of running services first."""
        found = list(await self._sources[0].find(wanted))
        if not running_only:
            for source in self._sources[1:]:
                found += await source.find(wanted)
        return found
