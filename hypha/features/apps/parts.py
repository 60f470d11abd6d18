"""The parts of the app controller, put together."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.auth.expected import ExpectedClients
from hypha.auth.guard import Guard
from hypha.auth.tokens import TokenAuthority
from hypha.features.apps.absences import Absences
from hypha.features.apps.artifacts import AppArtifacts
from hypha.features.apps.base import Parts
from hypha.features.apps.choosing import Choosing
from hypha.features.apps.daemons import DaemonParts, Daemons
from hypha.features.apps.draining import Draining
from hypha.features.apps.fetching import SourceFetcher
from hypha.features.apps.grants import Grants
from hypha.features.apps.identity import Identities
from hypha.features.apps.idle import Idle
from hypha.features.apps.installing import Installing, InstallParts
from hypha.features.apps.lazy import LazyApps
from hypha.features.apps.ledger import Ledger
from hypha.features.apps.options import AppOptions
from hypha.features.apps.records import AppRecords
from hypha.features.apps.running import Running
from hypha.features.apps.scaler import Scaler, ScalerParts
from hypha.features.apps.scaling_records import ScalingRecords
from hypha.features.apps.service import AppController
from hypha.features.apps.sessions import SessionLimits, Sessions
from hypha.features.apps.starting import Addresses, Starting, StartParts
from hypha.features.apps.waiting import Waiting
from hypha.features.apps.workers import Workers
from hypha.features.base import FeatureContext
from hypha.hub.hub import Hub
from hypha.registry.index import Registry
from hypha.registry.records import ServiceRecord
from hypha.workspaces.lifecycle import Workspaces


@dataclass(frozen=True, slots=True)
class Apps:
    """What the feature starts and stops."""

    controller: AppController
    running: Running
    starting: Starting
    waiting: Waiting
    grants: Grants
    lazy: LazyApps
    idle: Idle
    absences: Absences
    workers: Workers
    records: AppRecords
    ledger: Ledger
    daemons: Daemons
    scaler: Scaler
    fetcher: SourceFetcher

    async def load(self) -> None:
        """Read what is kept, and end what an earlier server has left."""
        self.workers.disable(*await self.records.disabled())
        await self.grants.load()
        await self.ledger.recover()
        await self.daemons.load()
        await self.scaler.load()

    def service_added(self, record: ServiceRecord) -> None:
        """A service was registered."""
        self.waiting.service_added(record)
        self.ledger.service_added(record)
        self.daemons.service_added(record)

    def client_ended(self, workspace: str, client_id: str) -> None:
        """A client is gone."""
        self.waiting.client_ended(workspace, client_id)
        self.running.client_ended(workspace, client_id)

    async def wind_down(self) -> None:
        """Start nothing more, wait a little for calls under way, and stop all sessions."""
        self.daemons.close()
        self.scaler.close()
        await self.starting.close()
        await self.running.until_idle()
        await self.running.close()

    async def close(self) -> None:
        """Break off starts, and stop all sessions."""
        await self.starting.close()
        await self.running.close()
        self.fetcher.close()


def build(context: FeatureContext) -> Apps:
    """Make all parts."""
    services, registry, hub = context.services, context.get(Registry), context.get(Hub)
    workspaces, tokens, guard = context.get(Workspaces), context.get(TokenAuthority), context.get(Guard)
    artifacts, records = AppArtifacts(services, context.server_id), AppRecords(context.data.connections)
    workers = Workers(registry, hub, services)
    identities, grants = Identities(tokens, guard), Grants(records, workspaces, tokens, guard)
    ledger = Ledger(records, workspaces, identities, workers, context.tasks)
    sessions = Sessions(_limits(context))
    running = Running(sessions, workers, identities, ledger, registry, services, context.tasks, hub)
    choosing, waiting, addresses = Choosing(workers, services), Waiting(registry, hub), _addresses(context)
    expected = context.get(ExpectedClients)
    starting = Starting(
        StartParts(
            artifacts, choosing, workers, identities, ledger, expected, waiting, running, addresses
        )
    )  # fmt: skip
    scaler = Scaler(
        ScalerParts(
            ScalingRecords(context.data.connections), grants, artifacts, starting, running,
            Draining(running, services, hub), workspaces, services, context.tasks, hub,
        )
    )  # fmt: skip
    running.follow(scaler.started, scaler.lost)
    installing = Installing(
        InstallParts(services, artifacts, choosing, workers, starting, running, grants, scaler, addresses)
    )
    daemons = Daemons(
        DaemonParts(grants, artifacts, starting, running, workers, services, context.tasks, hub)
    )
    fetcher = SourceFetcher()
    parts = Parts(
        services, workspaces, artifacts, records, workers, starting, running, installing, daemons,
        scaler, fetcher,
    )  # fmt: skip
    lazy = LazyApps(services, artifacts, grants, starting, waiting, registry)
    return Apps(
        AppController(parts), running, starting, waiting, grants, lazy, Idle(running, hub, scaler.has),
        Absences(running, ledger, hub), workers, records, ledger, daemons, scaler, fetcher,
    )  # fmt: skip


def _limits(context: FeatureContext) -> SessionLimits:
    options = context.settings.of(AppOptions)
    return SessionLimits(
        options.max_app_sessions, options.max_app_sessions_per_workspace, options.max_app_sessions_per_user
    )


def _addresses(context: FeatureContext) -> Addresses:
    disable_ssl = context.settings.of(AppOptions).disable_ssl
    return Addresses(context.base_url, context.settings.local_base_url, disable_ssl)
