"""What is done with the files of workspaces, whichever way it was asked for."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.errors import (
    InvalidRequest,
    ObjectNotFound,
    PermissionDenied,
    QuotaExceeded,
    UploadNotFound,
    WorkspaceNotFound,
)
from hypha.features.storage.expiries import Expiries, metadata_of
from hypha.features.storage.generations import Generations
from hypha.features.storage.paths import ARTIFACTS, FilePath, folder_of, path_of
from hypha.features.storage.records import Upload, UploadRecords
from hypha.objects.store import MAX_LISTED, MAX_PARTS, ObjectInfo, ObjectStore, Part, Source
from hypha.objects.urls import AS_ANNOUNCED, Reach, SignedUrls, in_turns
from hypha.values import check_offset, is_number, is_whole
from hypha.web.content import content_type_of
from hypha.workspaces.lifecycle import Workspaces

MAX_URL_LIFE_S = 7 * 86400
MAX_UPLOADS = 1000
"""Uploads in parts of one workspace that are not complete."""
GRACE_S = 10.0
"""An upload in parts is good for so much longer than the addresses of its parts."""
SHOWN = "files"
"""What people call the kind that is counted."""
READ_ONLY = "Permission denied: workspace is read-only"


@dataclass(frozen=True, slots=True)
class Life:
    """How long an address is good, in seconds, and how its user comes to the bytes."""

    expires_in: float
    reach: Reach = AS_ANNOUNCED


async def _claim_nothing(workspace: str) -> None:
    """Where folders have no other owners."""


class WorkspaceFiles:
    """Files of the caller's workspace; the caller's level is checked before, except for the root.

    Args:
        claim: makes sure that what lies in the folder of a workspace is its own; see `Owners`.
        generation_of: tells workspaces apart that had the same name; see `Generations`.
    """

    def __init__(
        self,
        store: ObjectStore,
        urls: SignedUrls,
        uploads: UploadRecords,
        expiries: Expiries,
        workspaces: Workspaces,
        claim: Callable[[str], Awaitable[None]] = _claim_nothing,
        generation_of: Callable[[str], Awaitable[str]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.expiries = expiries
        self._urls = urls
        self._uploads = uploads
        self._workspaces = workspaces
        self._claim = claim
        self._generation_of = generation_of or Generations(workspaces).of
        self._clock = clock

    async def check_writable(self, context: Context, path: FilePath) -> None:
        """Raise PermissionDenied for a workspace that is read-only; administrators write everywhere."""
        context.require(Level.READ_WRITE)
        await self.open(context)
        if path.is_root or context.user.is_admin:
            return
        if (await self._workspaces.require(context.workspace)).read_only:
            raise PermissionDenied(READ_ONLY)

    async def open(self, context: Context) -> None:
        """Make a person's own workspace, in which nobody has been yet; what lies in its folder is its own."""
        if self._workspaces.get(context.workspace) is None:
            await self._workspaces.open(context.workspace, context.user)
        await self._claim(context.workspace)

    async def list(self, context: Context, path: str, limit: int, offset: int = 0) -> list[dict[str, Any]]:
        """Files and folders of a folder: `{type, name, size, last_modified}` or `{type, name}`."""
        if not is_whole(limit) or not 1 <= limit <= MAX_LISTED:
            raise InvalidRequest(f"max_length is a whole number from 1 to {MAX_LISTED:,}.")
        folder = folder_of(path, context).key
        await self.open(context)
        hidden = f"{context.workspace}/{ARTIFACTS}/"
        page = await self.store.list(folder, skip=check_offset(offset), limit=limit, recursive=False)
        files = [
            {
                "type": "file",
                "name": info.key[len(folder) :],
                "size": info.size,
                "last_modified": info.modified,
            }
            for info in page.objects
        ]
        names = [name for name in page.folders if name != hidden or context.user.is_admin]
        return files + [{"type": "directory", "name": name[len(folder) : -1]} for name in names]

    async def put_url(self, context: Context, path: str, life: Life, ttl: float | None = None) -> str:
        """Where a file can be written."""
        place = path_of(path, context)
        await self.check_writable(context, place)
        return await self._urls.put(place.key, expires_in=life.expires_in, reach=life.reach, ttl=ttl)

    async def get_url(self, context: Context, path: str, life: Life) -> str:
        """Where a file can be read."""
        place = path_of(path, context)
        await self.open(context)
        return await self._urls.get(place.key, expires_in=life.expires_in, reach=life.reach)

    async def put(
        self, place: FilePath, body: Source, content_type: str, sha256: str | None = None
    ) -> ObjectInfo:
        """Write a file as it comes; whether the caller may is checked before.

        Raises:
            WorkspaceNotFound: its workspace ended meanwhile. And as `ObjectStore.put`.
        """
        generation = await self._generation_of(place.key)
        info = await self.store.put(place.key, body, content_type=content_type, sha256=sha256)
        await self._check_not_ended(place.key, generation)
        return info

    async def _check_not_ended(self, key: str, generation: str) -> None:
        """Leave nothing to another workspace of the name."""
        if await self._generation_of(key) != generation:
            await self.store.delete(key)
            raise WorkspaceNotFound("The workspace of this file has ended.")

    async def begin(
        self, context: Context, path: str, part_count: int, life: Life, ttl: float | None = None
    ) -> dict[str, Any]:
        """Begin an upload in parts: `{upload_id, parts: [{part_number, url}]}`."""
        check_part_count(part_count)
        place = path_of(path, context)
        await self.check_writable(context, place)
        async with self._workspaces.changing(context.workspace, context.user) as resident:
            if await self._uploads.count(context.workspace) >= MAX_UPLOADS:
                raise QuotaExceeded(
                    f"Workspace {context.workspace} has {MAX_UPLOADS:,} uploads that are not complete: "
                    "complete some, or wait until they expire."
                )
            upload = await self.store.begin(
                place.key, content_type=content_type_of(place.key, b""), metadata=metadata_of(ttl)
            )
            expires_at = self._clock() + life.expires_in + GRACE_S
            await self._uploads.add(resident.record, Upload(upload, place.key), expires_at)
        return await self._addresses(upload, place.key, part_count, life, ())

    async def resume(
        self, context: Context, path: str, upload_id: str, part_count: int, life: Life
    ) -> dict[str, Any]:
        """Go on with an upload in parts; those that are there have their `etag` and `size` with them."""
        check_part_count(part_count)
        place = path_of(path, context)
        await self.check_writable(context, place)
        now = self._clock()
        upload = await self._uploads.find(context.workspace, upload_id[:512], now)
        if upload is None or upload.key != place.key:
            raise UploadNotFound(f"Upload ID {upload_id[:64]} not found or expired")
        there = await self.store.parts(place.key, upload.id)
        await self._uploads.prolong(upload.id, now + life.expires_in + GRACE_S)
        return await self._addresses(upload.id, place.key, part_count, life, there)

    async def _addresses(
        self, upload: str, key: str, part_count: int, life: Life, there: Sequence[Part]
    ) -> dict[str, Any]:
        sign = partial(self._urls.part, key, upload, expires_in=life.expires_in, reach=life.reach)
        urls = await in_turns(range(1, part_count + 1), sign)
        known = {part.number: {"etag": part.etag, "size": part.size} for part in there}
        parts = [
            {"part_number": number, "url": url, **known.get(number, {})} for number, url in enumerate(urls, 1)
        ]
        return {"upload_id": upload, "parts": parts}

    async def complete(self, context: Context, upload_id: str, parts: object) -> tuple[FilePath, ObjectInfo]:
        """Put the parts of an upload of this workspace together."""
        wanted = _parts(parts)
        if not wanted:
            raise UploadNotFound(f"Upload ID {str(upload_id)[:64]} not found or expired")
        upload, path = await self._begun(context, upload_id)
        generation = await self._generation_of(upload.key)
        info = await self.store.complete(upload.key, upload.id, wanted)
        await self._check_not_ended(upload.key, generation)
        await self.expiries.completed(info)
        await self._uploads.remove([upload.id])
        return path, info

    async def give_up(self, context: Context, upload_id: str) -> None:
        """Delete what has come of an upload of this workspace that will not be completed.

        Raises:
            UploadNotFound: it is over already.
        """
        upload, _ = await self._begun(context, upload_id)
        with suppress(UploadNotFound):
            await self.store.abort(upload.key, upload.id)
        await self._uploads.remove([upload.id])

    async def _begun(self, context: Context, upload_id: object) -> tuple[Upload, FilePath]:
        """An upload of this workspace that the caller may end, and for which path it is.

        Raises:
            UploadNotFound. PermissionDenied: it is not the caller's to end.
        """
        upload = await self._uploads.find(context.workspace, str(upload_id)[:512], self._clock())
        if upload is None:
            raise UploadNotFound(f"Upload ID {str(upload_id)[:64]} not found or expired")
        lead = f"{context.workspace}/"
        is_root = not upload.key.startswith(lead)
        path = FilePath(upload.key, upload.key if is_root else upload.key[len(lead) :], is_root)
        await self.check_writable(context, path)
        if is_root and not context.user.is_admin:
            raise PermissionDenied("Permission denied: this upload begins at the root of all workspaces.")
        return upload, path

    async def is_file(self, place: FilePath) -> bool:
        """Whether a file is there."""
        try:
            await self.store.head(place.key)
        except ObjectNotFound:
            return False
        return True

    async def remove_file(self, context: Context, path: str) -> bool:
        """Delete a file; False if there was none."""
        place = path_of(path, context)
        await self.check_writable(context, place)
        gone = await self.store.delete(place.key)
        await self.expiries.forget(place.key)
        return gone

    async def remove_folder(self, context: Context, path: str) -> bool:
        """Delete a folder with all below it; False if there was none."""
        place = path_of(path.removesuffix("/") if isinstance(path, str) else path, context)
        await self.check_writable(context, place)
        gone = await self.store.delete_folder(place.key)
        await self.expiries.forget(place.key, with_folder=True)
        return bool(gone)


def checked_life(expires_in: object, reach: Reach = AS_ANNOUNCED) -> Life:
    """How long an address is to be good.

    Raises:
        InvalidRequest: it is no time, or too long a one.
    """
    if not is_number(expires_in) or not 1 <= expires_in <= MAX_URL_LIFE_S:
        raise InvalidRequest(f"expires_in is a number of seconds from 1 to {MAX_URL_LIFE_S:,}.")
    return Life(float(expires_in), reach)


def check_part_count(count: object) -> None:
    """Refuse what is no number of parts.

    Raises:
        InvalidRequest.
    """
    if not is_whole(count) or not 1 <= count <= MAX_PARTS:
        raise InvalidRequest(f"part_count is a whole number from 1 to {MAX_PARTS:,}.")


def _parts(parts: object) -> Sequence[tuple[int, str]]:
    """Number and ETag of each part, in order."""
    if not isinstance(parts, Sequence) or isinstance(parts, str | bytes) or len(parts) > MAX_PARTS:
        raise InvalidRequest("parts is a list of {part_number, etag}.")
    found = []
    for part in parts:
        number = part.get("part_number") if isinstance(part, Mapping) else None
        if not is_whole(number) or not isinstance(part.get("etag"), str):
            raise InvalidRequest("Each of parts is {part_number, etag}.")
        found.append((number, part["etag"]))
    return sorted(found)
