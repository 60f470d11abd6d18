"""Plugs the artifacts into the server."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from hypha.features.artifacts import file_records, records
from hypha.features.artifacts.access import Access
from hypha.features.artifacts.applications import ApplicationManifests
from hypha.features.artifacts.backed_up import needed_objects
from hypha.features.artifacts.creating import Creating
from hypha.features.artifacts.file_records import Files
from hypha.features.artifacts.garbage import Garbage
from hypha.features.artifacts.homes import ArtifactHomes, check_packages
from hypha.features.artifacts.housing import Housing
from hypha.features.artifacts.http import ArtifactRoutes
from hypha.features.artifacts.http_view import VIEW, Addresses, ViewRoute
from hypha.features.artifacts.options import ArtifactOptions
from hypha.features.artifacts.parts import THREADS, Parts
from hypha.features.artifacts.places import Places
from hypha.features.artifacts.records import Artifacts
from hypha.features.artifacts.renderer import Renderer
from hypha.features.artifacts.secrets import Secrets
from hypha.features.artifacts.service import ArtifactManager
from hypha.features.base import Feature, FeatureContext
from hypha.features.progress import Reports
from hypha.limits.crew import Crew
from hypha.objects.homes import RoutedObjects
from hypha.objects.urls import SignedUrls
from hypha.store.reference import is_set_aside
from hypha.store.sealing import Seal
from hypha.store.usage import Quota
from hypha.web.apps_origin import AppsOrigin
from hypha.web.workspace_routes import WorkspaceRoute
from hypha.workspaces.lifecycle import Workspaces

SECRET = "artifacts"


class ArtifactsFeature(Feature):
    """The public service `artifact-manager`, and its files over HTTP."""

    name = "artifacts"
    needs = (Workspaces, RoutedObjects, SignedUrls)

    def __init__(self) -> None:
        self._homes: ArtifactHomes | None = None
        self._garbage: Garbage | None = None
        self._crew = Crew(THREADS, "artifacts")
        self._renderer = Renderer()

    async def start(self, context: FeatureContext) -> None:
        """Offer the service, and delete what nothing refers to any more."""
        data, workspaces, store = context.data, context.get(Workspaces), context.get(RoutedObjects)
        _bound(context)
        artifacts = Artifacts(data.connections)
        garbage = self._garbage = Garbage(data.connections, store)
        applications = ApplicationManifests(data.connections)
        seal = Seal(data.secret(SECRET))
        housing = self._housing(context, store, seal)
        parts = Parts(
            Access(artifacts, workspaces),
            artifacts,
            Files(data.connections),
            data.connections,
            data.usage,
            store,
            context.get(SignedUrls),
            seal,
            garbage,
            applications,
            progress=Reports(context.services, context.tasks).of,
            crew=self._crew,
        )
        secrets = Secrets(data.connections, data.usage, seal, housing)
        await _adopt(parts, secrets)
        await applications.load()
        manager = ArtifactManager(parts, Creating(parts, workspaces, secrets), secrets)
        context.events.on_workspace_ended(garbage.workspace_ended, stored_only=True)
        context.events.on_workspace_ended(applications.removed, stored_only=True)
        context.tasks.start(garbage.run(), "cleaning up after artifacts")
        context.services.offer(manager.service())
        context.services.know_applications(applications)
        context.http.add_routes(*ArtifactRoutes(manager, context.http.credentials).routes())
        view = ViewRoute(manager, context.http.credentials, _addresses(context), self._renderer)
        context.http.add_pages(WorkspaceRoute(VIEW, view), WorkspaceRoute(f"{VIEW}/{{path:path}}", view))

    def _housing(self, context: FeatureContext, store: RoutedObjects, seal: Seal) -> Housing:
        """Who chooses where files of artifacts lie; from now on the store finds those that lie elsewhere."""
        endpoints = context.settings.of(ArtifactOptions).artifact_s3_endpoints
        if endpoints:
            check_packages()
        places = Places(endpoints, store.as_guest.bucket)
        homes = self._homes = ArtifactHomes(context.data.connections, seal, places, store.as_guest)
        store.homes = homes
        return Housing(places, seal, homes.forget)

    async def stop(self) -> None:
        """Let no deletion run on when the object store is closed, and no page be rendered."""
        await self._renderer.close()
        await self._crew.close()
        if self._garbage is not None:
            await self._garbage.close()
        if self._homes is not None:
            await self._homes.close()

    @classmethod
    def needed_objects(cls, database: Connection) -> Iterator[tuple[str, str]]:
        """See `Feature`."""
        return needed_objects(database)


async def _adopt(parts: Parts, secrets: Secrets) -> None:
    """Take over what another server left in the database."""
    async with parts.data.reading() as connection:
        is_there = await connection.run_sync(is_set_aside, "artifacts")
    if is_there:
        from hypha.features.artifacts.adopting import Adopting  # hardly ever needed, and then once

        await Adopting(parts, secrets).run()


def _addresses(context: FeatureContext) -> Addresses:
    settings, base_url = context.settings, context.base_url
    apps = AppsOrigin(settings.apps_origin, base_url) if settings.apps_origin else None
    return Addresses(base_url, settings.local_base_url, apps, settings.trust_apps)


def _bound(context: FeatureContext) -> None:
    options = context.settings.of(ArtifactOptions)
    context.data.bound(
        records.KIND,
        "artifacts",
        Quota(
            options.max_artifacts_per_workspace,
            options.max_artifact_record_bytes_per_workspace,
            "artifacts",
            "Delete some, or ask the server's operator for more.",
        ),
    )
    context.data.bound(
        file_records.KIND,
        file_records.SHOWN,
        Quota(
            options.max_artifact_files_per_workspace,
            options.max_artifact_bytes_per_workspace,
            "files of artifacts",
            "Delete versions or artifacts, or ask the server's operator for more.",
        ),
    )
