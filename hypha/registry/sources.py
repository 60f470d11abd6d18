"""Where services are found: the registry knows those that run, other sources what can be started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from hypha.addresses import ServiceQuery
from hypha.auth.users import Context
from hypha.errors import ServiceNotFound
from hypha.registry.applications import Applications
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
        if self._registry.elsewhere is not None:
            await self._registry.elsewhere.prepare(query.workspace)
        return self._registry.candidates(query)

    async def find(self, wanted: ServiceFilter) -> Sequence[ServiceRecord]:
        """See `ServiceSource`."""
        elsewhere = self._registry.elsewhere
        if elsewhere is None:
            return self._registry.find(wanted)
        if wanted.workspace is not None:
            await elsewhere.prepare(wanted.workspace)
            return self._registry.find(wanted)
        return [*self._registry.find(wanted), *filter(wanted.matches, await elsewhere.public())]

    async def running(self, record: ServiceRecord, context: Context) -> ServiceRecord:
        """It runs, or is not here."""
        if not record.is_running:
            raise ServiceNotFound(f"Service not found: {record.id}@{record.app_id}")
        return record


class Instances(RunningServices):
    """Running services that an application means by a name of its manifest, under names of their own."""

    def __init__(self, registry: Registry, applications: Applications) -> None:
        super().__init__(registry)
        self._applications = applications

    async def candidates(self, query: ServiceQuery) -> Sequence[ServiceRecord]:
        """Those named `<name>-<anything>`; if there are none, those of the type that only this name has."""
        application = await self._applications.find(query.workspace, query.app_id)
        if application is None or not application.declares(query.name):
            return ()
        client_id = None if query.client_id == "*" else query.client_id
        wanted = ServiceFilter(query.workspace, client_id, app_id=query.app_id)
        found = [record for record in self._registry.find(wanted) if not record.is_built_in]
        start, kind = f"{query.name}-", application.own_type(query.name)
        named = [record for record in found if record.name.startswith(start)]
        return named or [record for record in found if record.type == kind]

    async def find(self, wanted: ServiceFilter) -> Sequence[ServiceRecord]:
        """None that the registry does not find by itself."""
        return ()


class Sources:
    """All sources, those of running services first; later ones are asked for what earlier ones lack."""

    def __init__(self, registry: Registry, applications: Applications | None = None) -> None:
        self.applications = applications or Applications()
        self._sources: list[ServiceSource] = [
            RunningServices(registry),
            Instances(registry, self.applications),
        ]

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
