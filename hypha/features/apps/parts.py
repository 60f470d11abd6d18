"""The parts of the app controller, put together."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.auth.expected import ExpectedClients
from hypha.auth.guard import Guard
from hypha.auth.tokens import TokenAuthority
from hypha.features.apps.artifacts import AppArtifacts
from hypha.features.apps.base import Parts
from hypha.features.apps.choosing import Choosing
from hypha.features.apps.grants import Grants
from hypha.features.apps.identity import Identities
from hypha.features.apps.idle import Idle
from hypha.features.apps.installing import Installing, InstallParts
from hypha.features.apps.lazy import LazyApps
from hypha.features.apps.options import AppOptions
from hypha.features.apps.records import AppRecords
from hypha.features.apps.running import Running
from hypha.features.apps.service import AppController
from hypha.features.apps.sessions import SessionLimits, Sessions
from hypha.features.apps.starting import Addresses, Starting, StartParts
from hypha.features.apps.waiting import Waiting
from hypha.features.apps.workers import Workers
from hypha.features.base import FeatureContext
from hypha.hub.hub import Hub
from hypha.registry.index import Registry
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
    workers: Workers
    records: AppRecords

    async def load(self) -> None:
        """Read what is kept."""
        self.workers.disable(*await self.records.disabled())
        await self.grants.load()

    def client_ended(self, workspace: str, client_id: str) -> None:
        """A client is gone."""
        self.waiting.client_ended(workspace, client_id)
        self.running.client_ended(workspace, client_id)

    async def close(self) -> None:
        """Break off starts, and stop all sessions."""
        await self.starting.close()
        await self.running.close()


def build(context: FeatureContext) -> Apps:
    """Make all parts."""
    options, settings, services = context.settings.of(AppOptions), context.settings, context.services
    registry, hub = context.get(Registry), context.get(Hub)
    artifacts = AppArtifacts(services, context.server_id)
    workers = Workers(registry, hub, services)
    choosing = Choosing(workers, services)
    identities = Identities(context.get(TokenAuthority), context.get(Guard))
    limits = SessionLimits(
        options.max_app_sessions, options.max_app_sessions_per_workspace, options.max_app_sessions_per_user
    )
    running = Running(Sessions(limits), workers, identities, registry, services, context.tasks)
    waiting = Waiting(registry, hub)
    addresses = Addresses(context.base_url, settings.local_base_url, options.disable_ssl)
    starting = Starting(
        StartParts(
            artifacts,
            choosing,
            workers,
            identities,
            context.get(ExpectedClients),
            waiting,
            running,
            addresses,
        )
    )
    records = AppRecords(context.data.connections)
    grants = Grants(records, context.get(Workspaces), context.get(TokenAuthority), context.get(Guard))
    installing = Installing(
        InstallParts(services, artifacts, choosing, workers, starting, running, grants, addresses)
    )
    lazy = LazyApps(services, artifacts, grants, starting, waiting, registry)
    parts = Parts(
        services, context.get(Workspaces), artifacts, records, workers, starting, running, installing
    )
    return Apps(
        AppController(parts), running, starting, waiting, grants, lazy, Idle(running, hub), workers, records
    )
