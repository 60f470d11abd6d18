"""Plugs apps into the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypha.auth.expected import ExpectedClients
from hypha.auth.guard import Guard
from hypha.auth.tokens import TokenAuthority
from hypha.features.apps import tables as tables  # so that a new database has them
from hypha.features.apps.options import AppOptions
from hypha.features.base import Feature, FeatureContext
from hypha.hub.hub import Hub
from hypha.registry.index import Registry
from hypha.workspaces.lifecycle import Workspaces

if TYPE_CHECKING:
    from hypha.features.apps.parts import Apps

BROWSER_WORKER = "hypha.workers.browser:hypha_startup"
"""A worker is known by name alone: it sees the server as those elsewhere do."""
BROWSER_WORKER_IN_CONTAINER = "hypha.workers.browser:startup_in_container"


class AppsFeature(Feature):
    """The public service `server-apps`, with `--enable-server-apps`."""

    name = "apps"
    needs = (Workspaces, TokenAuthority, Guard, ExpectedClients, Hub, Registry)

    def __init__(self) -> None:
        self._apps: Apps | None = None

    async def start(self, context: FeatureContext) -> None:
        """Offer the service, if apps are on."""
        options = context.settings.of(AppOptions)
        if not options.enable_server_apps:
            return
        from hypha.features.apps.parts import build  # servers without apps need none of this

        apps = self._apps = build(context)
        context.events.on_service_added(apps.service_added)
        context.events.on_client_ended(apps.client_ended)
        context.events.on_workspace_ended(apps.running.workspace_ended)
        context.events.on_workspace_ended(apps.scaler.workspace_ended)
        await apps.load()
        context.services.add_source(apps.lazy)
        context.tasks.start(apps.idle.run(), "stopping apps that nobody uses")
        context.tasks.start(apps.absences.run(), "looking for workers that are away")
        context.tasks.start(apps.daemons.run(), "keeping daemons running")
        context.tasks.start(apps.scaler.run(), "scaling apps")
        context.services.offer(apps.controller.service())
        if not options.disable_inprocess_browser_worker:
            is_contained = context.settings.in_docker
            context.services.run_inside(BROWSER_WORKER_IN_CONTAINER if is_contained else BROWSER_WORKER)

    async def wind_down(self) -> None:
        """Let programs answer what they were asked, and stop all sessions."""
        if self._apps is not None:
            await self._apps.wind_down()

    async def stop(self) -> None:
        """Stop all sessions."""
        if self._apps is not None:
            await self._apps.close()
