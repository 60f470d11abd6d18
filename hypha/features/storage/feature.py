"""Makes the object store of the server, and lets others ask for it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from starlette.routing import Route

from hypha.features.base import Feature, FeatureContext
from hypha.features.storage.options import StorageOptions
from hypha.features.storage.route import SignedRoute
from hypha.objects.local import LocalObjects
from hypha.objects.local.urls import PATH, LocalUrls
from hypha.objects.store import ObjectStore
from hypha.objects.urls import SignedUrls

FOLDER = "objects"
"""Of all files, in the data folder."""
SECRET = "objects"


class StorageFeature(Feature):
    """The embedded object store, and `/s3/…` where signed addresses lead."""

    name = "storage"
    provides = (ObjectStore, SignedUrls)

    def __init__(self) -> None:
        self._store: LocalObjects | None = None
        self._temporary: str | None = None

    async def start(self, context: FeatureContext) -> None:
        """Open the store in the data folder; without one, in a folder that is deleted at the end."""
        bucket = context.settings.of(StorageOptions).workspace_bucket
        root = context.data.folder
        if root is None:
            self._temporary = tempfile.mkdtemp(prefix="hypha-objects-")
            root = Path(self._temporary)
        store = self._store = await LocalObjects.open_at(root / FOLDER, bucket)
        urls = LocalUrls(bucket, context.data.secret(SECRET), context.base_url)
        context.provide(ObjectStore, store)
        context.provide(SignedUrls, urls)
        route = SignedRoute(store, urls)
        context.http.add_routes(Route(PATH, route), Route(f"{PATH}/{{path:path}}", route))

    async def stop(self) -> None:
        """Let what is being written end."""
        if self._store is not None:
            await self._store.close()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
