"""Makes the object store of the server, and lets others ask for it."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.routing import Route

from hypha.builtins.service import BuiltinService
from hypha.features.base import Feature, FeatureContext
from hypha.features.storage.backing import Backing
from hypha.features.storage.credentials import LendingStorageService
from hypha.features.storage.embedded import open_embedded
from hypha.features.storage.ended import EndedFolders
from hypha.features.storage.expiries import Expiries
from hypha.features.storage.files import SHOWN, WorkspaceFiles
from hypha.features.storage.generations import Generations
from hypha.features.storage.http import FileRoutes
from hypha.features.storage.minio import MinioServer, find_minio, without_minio
from hypha.features.storage.options import StorageOptions
from hypha.features.storage.owners import Owners
from hypha.features.storage.records import EndedRecords, ExpiryRecords, UploadRecords
from hypha.features.storage.remote import open_own_minio, open_remote
from hypha.features.storage.route import SignedRoute
from hypha.features.storage.service import StorageService
from hypha.features.storage.upkeep import Upkeep
from hypha.objects.homes import AsGuest, RoutedObjects, RoutedUrls
from hypha.objects.local.urls import PATH, LocalUrls
from hypha.objects.room import Room, Share
from hypha.objects.store import ObjectStore
from hypha.objects.urls import SignedUrls
from hypha.store.records import WorkspaceRecord
from hypha.store.usage import Quota
from hypha.workspaces.lifecycle import Workspaces

if TYPE_CHECKING:
    from hypha.settings import Settings

logger = logging.getLogger(__name__)

SECRET = "objects"
KIND = "objects"


class StorageFeature(Feature):
    """The object store, and `/s3/…` where signed addresses of this server lead."""

    name = "storage"
    needs = (Workspaces,)
    provides = (ObjectStore, RoutedObjects, SignedUrls)
    words = (PATH.strip("/"),)

    def __init__(self) -> None:
        self._backing: Backing | None = None
        self._upkeep: Upkeep | None = None
        self._ended: EndedFolders | None = None

    async def start(self, context: FeatureContext) -> None:
        """Open the store, and offer what is done with it."""
        options, data = context.settings.of(StorageOptions), context.data
        workspaces = context.get(Workspaces)
        generations = Generations(workspaces)
        own = LocalUrls(
            options.workspace_bucket, data.secret(SECRET), context.base_url,
            generation_of=generations.of, local_base=context.settings.local_base_url,
        )  # fmt: skip
        backing = self._backing = await _opened(context, options, own)
        store, urls = backing.store, backing.urls
        _bound(context, options, backing.room, workspaces)
        routed = RoutedObjects(store, _as_guest(options))
        context.provide(ObjectStore, routed)
        context.provide(RoutedObjects, routed)
        context.provide(SignedUrls, urls if urls is own else RoutedUrls(urls, own))
        expiries = Expiries(store, ExpiryRecords(data.connections))
        route = SignedRoute(routed, own, expiries)
        context.http.add_routes(Route(PATH, route), Route(f"{PATH}/{{path:path}}", route))
        uploads = UploadRecords(data.connections)
        upkeep = self._upkeep = Upkeep(store, uploads, expiries, options.s3_cleanup_period)
        ended = self._ended = EndedFolders(
            store, EndedRecords(data.connections), expiries, late_s=backing.late_s
        )  # fmt: skip
        context.events.on_workspace_ended(ended.ended)
        context.events.on_workspace_ended(ended.expect_late, stored_only=True)
        context.events.on_workspace_ended(upkeep.workspace_ended, stored_only=True)
        owners = Owners(backing.folders, generations.of, ended.finish)
        context.events.on_workspace_ended(owners.ended, stored_only=True)
        context.tasks.start(upkeep.run(), "the upkeep of files")
        context.tasks.start(ended.run(options.s3_cleanup_period), "deleting files of ended workspaces")
        files = WorkspaceFiles(store, urls, uploads, expiries, workspaces, owners.claim)
        routes = FileRoutes(files, context.http.credentials, workspaces, backing.bucket_url)
        context.http.add_routes(*routes.routes())
        service = StorageService(files, backing.bucket_url)
        if backing.lender is not None:
            service = LendingStorageService(files, backing.bucket_url, backing.lender)
        context.services.offer(BuiltinService.of(service, id="s3-storage", name="S3 Storage Service"))

    async def stop(self) -> None:
        """Let what is being written end."""
        if self._ended is not None:
            await self._ended.close()
        if self._upkeep is not None:
            await self._upkeep.stop()
        if self._backing is not None:
            await self._backing.close()

    @classmethod
    async def open_objects(
        cls, settings: Settings, folder: Path | None, *, looks_on: bool
    ) -> ObjectStore | None:
        """See `Feature`."""
        from hypha.features.storage.aside import open_aside  # no server needs it

        return await open_aside(settings.of(StorageOptions), folder, looks_on=looks_on)


def _as_guest(options: StorageOptions) -> AsGuest:
    return AsGuest(
        options.workspace_bucket, options.least_free_disk_bytes, heeds_proxies=not options.s3_disable_proxy
    )


async def _opened(context: FeatureContext, options: StorageOptions, own: LocalUrls) -> Backing:
    """Open what keeps the files, as the options say."""
    settings = context.settings
    if options.endpoint_url:
        return await open_remote(options, own)
    if options.start_minio_server:
        program = find_minio(settings.executable_path)
        if program is not None:
            minio = MinioServer(program, options, settings.host, context.data.folder)
            backing = await open_own_minio(minio, options, own)
            if minio.is_new_password:
                context.tell_operator(f"MinIO: user {minio.user}, password {minio.password}, at {minio.url}")
            return backing
        logger.warning(without_minio(settings.executable_path))
    bucket_url = f"{context.base_url}{PATH}/{options.workspace_bucket}"
    return await open_embedded(options, context.data.folder, own, context.base_url, bucket_url)


def _bound(context: FeatureContext, options: StorageOptions, room: Room, workspaces: Workspaces) -> None:
    """Bound what workspaces keep, and leave others their part of the disk."""
    quota = Quota(
        options.max_files_per_workspace,
        options.max_file_bytes_per_workspace,
        "files",
        "Delete some, or ask the server's operator for more.",
    )
    context.data.bound(KIND, SHOWN, quota, room.of)

    room.share_of = partial(share_of, workspaces)


def share_of(workspaces: Workspaces, owner: str) -> Share | None:
    """What a workspace may keep; what the server itself notes, or sets aside, has no bound."""
    if not owner or owner.startswith("."):
        return None
    allowance = workspaces.allowance(workspaces.get(owner) or WorkspaceRecord(owner), KIND)
    return None if allowance is None else Share(allowance.quota.count, allowance.quota.size_bytes)
