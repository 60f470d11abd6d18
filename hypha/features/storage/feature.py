"""Makes the object store of the server, and lets others ask for it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from starlette.routing import Route

from hypha.builtins.service import BuiltinService
from hypha.features.base import Feature, FeatureContext
from hypha.features.storage.expiries import Expiries
from hypha.features.storage.files import WorkspaceFiles
from hypha.features.storage.generations import Generations
from hypha.features.storage.http import FileRoutes
from hypha.features.storage.options import StorageOptions
from hypha.features.storage.records import ExpiryRecords, UploadRecords
from hypha.features.storage.route import SignedRoute
from hypha.features.storage.service import StorageService
from hypha.features.storage.upkeep import Upkeep
from hypha.objects.local import LocalObjects
from hypha.objects.local.urls import PATH, LocalUrls
from hypha.objects.store import ObjectStore
from hypha.objects.urls import SignedUrls
from hypha.workspaces.lifecycle import Workspaces

FOLDER = "objects"
"""Of all files, in the data folder."""
SECRET = "objects"


class StorageFeature(Feature):
    """The embedded object store, and `/s3/…` where signed addresses lead."""

    name = "storage"
    needs = (Workspaces,)
    provides = (ObjectStore, SignedUrls)

    def __init__(self) -> None:
        self._store: LocalObjects | None = None
        self._upkeep: Upkeep | None = None
        self._temporary: str | None = None

    async def start(self, context: FeatureContext) -> None:
        """Open the store in the data folder; without one, in a folder that is deleted at the end."""
        options = context.settings.of(StorageOptions)
        bucket = options.workspace_bucket
        root = context.data.folder
        if root is None:
            self._temporary = tempfile.mkdtemp(prefix="hypha-objects-")
            root = Path(self._temporary)
        store = self._store = await LocalObjects.open_at(root / FOLDER, bucket)
        workspaces, data = context.get(Workspaces), context.data
        generations = Generations(workspaces)
        urls = LocalUrls(bucket, data.secret(SECRET), context.base_url, generation_of=generations.of)
        context.provide(ObjectStore, store)
        context.provide(SignedUrls, urls)
        expiries = Expiries(store, ExpiryRecords(data.connections))
        route = SignedRoute(store, urls, expiries)
        context.http.add_routes(Route(PATH, route), Route(f"{PATH}/{{path:path}}", route))
        uploads = UploadRecords(data.connections)
        upkeep = self._upkeep = Upkeep(store, uploads, expiries, options.s3_cleanup_period)
        context.events.on_workspace_ended(upkeep.workspace_ended)
        context.tasks.start(upkeep.run(), "the upkeep of files")
        files = WorkspaceFiles(store, urls, uploads, expiries, workspaces)
        local_base, bucket_url = context.settings.local_base_url, f"{context.base_url}{PATH}/{bucket}"
        routes = FileRoutes(files, context.http.credentials, workspaces, bucket_url)
        context.http.add_routes(*routes.routes())
        service = StorageService(files, local_base, bucket_url)
        context.services.offer(BuiltinService.of(service, id="s3-storage", name="S3 Storage Service"))

    async def stop(self) -> None:
        """Let what is being written end."""
        if self._upkeep is not None:
            await self._upkeep.stop()
        if self._store is not None:
            await self._store.close()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
