"""Makes the object store of the server, and lets others ask for it."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path

from starlette.routing import Route

from hypha.builtins.service import BuiltinService
from hypha.features.base import Feature, FeatureContext
from hypha.features.storage.expiries import Expiries
from hypha.features.storage.files import SHOWN, WorkspaceFiles
from hypha.features.storage.generations import Generations
from hypha.features.storage.http import FileRoutes
from hypha.features.storage.minio import lock_folder, without_minio
from hypha.features.storage.options import StorageOptions
from hypha.features.storage.owners import Owners
from hypha.features.storage.records import ExpiryRecords, UploadRecords
from hypha.features.storage.route import SignedRoute
from hypha.features.storage.service import StorageService
from hypha.features.storage.upkeep import Upkeep
from hypha.filelock import FileLock
from hypha.objects.local import LocalObjects
from hypha.objects.local.urls import PATH, LocalUrls
from hypha.objects.room import Room, Share
from hypha.objects.store import ObjectStore
from hypha.objects.urls import SignedUrls
from hypha.store.records import WorkspaceRecord
from hypha.store.usage import Quota
from hypha.workspaces.lifecycle import Workspaces

logger = logging.getLogger(__name__)

FOLDER = "objects"
"""Of all files, in the data folder."""
SECRET = "objects"
KIND = "objects"


class StorageFeature(Feature):
    """The embedded object store, and `/s3/…` where signed addresses lead."""

    name = "storage"
    needs = (Workspaces,)
    provides = (ObjectStore, SignedUrls)
    words = (PATH.strip("/"),)

    def __init__(self) -> None:
        self._store: LocalObjects | None = None
        self._upkeep: Upkeep | None = None
        self._temporary: str | None = None
        self._lock: FileLock | None = None

    async def start(self, context: FeatureContext) -> None:
        """Open the store in the data folder; without one, in a folder that is deleted at the end."""
        options = context.settings.of(StorageOptions)
        bucket = options.workspace_bucket
        root = self._root(context)
        store = self._store = await LocalObjects.open_at(root, bucket)
        workspaces, data = context.get(Workspaces), context.data
        _bound(context, options, store.room, workspaces)
        generations = Generations(workspaces)
        base, local_base = context.base_url, context.settings.local_base_url
        urls = LocalUrls(
            bucket, data.secret(SECRET), base, generation_of=generations.of, local_base=local_base
        )
        context.provide(ObjectStore, store)
        context.provide(SignedUrls, urls)
        expiries = Expiries(store, ExpiryRecords(data.connections))
        route = SignedRoute(store, urls, expiries)
        context.http.add_routes(Route(PATH, route), Route(f"{PATH}/{{path:path}}", route))
        uploads = UploadRecords(data.connections)
        upkeep = self._upkeep = Upkeep(store, uploads, expiries, options.s3_cleanup_period)
        context.events.on_workspace_ended(upkeep.files_ended)
        context.events.on_workspace_ended(upkeep.workspace_ended, stored_only=True)
        owners = Owners(store, root, generations.of)
        context.events.on_workspace_ended(owners.ended, stored_only=True)
        context.tasks.start(upkeep.run(), "the upkeep of files")
        files = WorkspaceFiles(store, urls, uploads, expiries, workspaces, owners.claim)
        bucket_url = f"{base}{PATH}/{bucket}"
        routes = FileRoutes(files, context.http.credentials, workspaces, bucket_url)
        context.http.add_routes(*routes.routes())
        service = StorageService(files, bucket_url)
        context.services.offer(BuiltinService.of(service, id="s3-storage", name="S3 Storage Service"))

    def _root(self, context: FeatureContext) -> Path:
        """The folder of all files: in the data folder, else one that is deleted at the end."""
        options, folder = context.settings.of(StorageOptions), context.data.folder
        if options.start_minio_server:
            logger.warning(without_minio(context.settings.executable_path))
            if options.minio_file_system_mode and options.minio_workdir:
                self._lock = lock_folder(Path(options.minio_workdir), context.base_url)
                return Path(options.minio_workdir)
        if folder is None:
            self._temporary = tempfile.mkdtemp(prefix="hypha-objects-")
            folder = Path(self._temporary)
        return folder / FOLDER

    async def stop(self) -> None:
        """Let what is being written end."""
        if self._upkeep is not None:
            await self._upkeep.stop()
        if self._store is not None:
            await self._store.close()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()


def _bound(context: FeatureContext, options: StorageOptions, room: Room, workspaces: Workspaces) -> None:
    """Bound what workspaces keep, and leave others their part of the disk."""
    quota = Quota(
        options.max_files_per_workspace,
        options.max_file_bytes_per_workspace,
        "files",
        "Delete some, or ask the server's operator for more.",
    )
    context.data.bound(KIND, SHOWN, quota, room.of)

    def share_of(owner: str) -> Share | None:
        record = workspaces.get(owner) or WorkspaceRecord(owner)
        allowance = workspaces.allowance(record, KIND) if owner else None
        return None if allowance is None else Share(allowance.quota.count, allowance.quota.size_bytes)

    room.share_of, room.least_free_bytes = share_of, options.least_free_disk_bytes
