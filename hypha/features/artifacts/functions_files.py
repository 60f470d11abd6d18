"""Functions of the artifact manager for files: addresses to upload and download, lists, removal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.errors import HyphaError, InvalidRequest, UploadNotFound
from hypha.features.artifacts import file_records, records
from hypha.features.artifacts.access import is_staged_asked
from hypha.features.artifacts.answer_sizes import BRIEF_BYTES, FILES_BYTES
from hypha.features.artifacts.artifact import Artifact, FileNotFound
from hypha.features.artifacts.base import ON_ARTIFACT, Functions
from hypha.features.artifacts.checks import check_weight
from hypha.features.artifacts.file_records import Staged
from hypha.features.artifacts.files import MAX_PATHS, check_expiry, download_weight
from hypha.features.artifacts.paths import rooted
from hypha.features.artifacts.staging import staged_round
from hypha.objects.digests import checked_sha256
from hypha.objects.paths import check_folder, check_path
from hypha.objects.store import MAX_PARTS
from hypha.objects.urls import in_turns, reach_of
from hypha.values import check_offset, is_whole

MAX_LISTED_FILES = 10_000
UPLOAD_GRACE_S = 10.0

Expiry = Annotated[float, {"minimum": 60, "maximum": 604800}]
PartCount = Annotated[int, {"minimum": 1, "maximum": MAX_PARTS}]
Many = str | list[str]


class FileFunctions(Functions):
    """Files of artifacts."""

    @permission(Level.NONE, on=ON_ARTIFACT, note="put_file on the artifact", gives_bytes=BRIEF_BYTES)
    async def put_file(
        self,
        artifact_id: str,
        file_path: Many,
        download_weight: float | list[float] = 0,
        use_proxy: bool | None = None,
        use_local_url: bool | str = False,
        expires_in: Expiry = 3600,
        branch: str | None = None,
        sha256: Many | None = None,
        *,
        context: Context,
    ) -> Any:
        """Get an address at which a file can be uploaded with an HTTP PUT; the next commit takes it in.

        The artifact must be staged: `edit` it with `stage=True`, or `create` it so.

        Args:
            artifact_id: The artifact, such as `my-data` or `my-workspace/my-data`.
            file_path: The path of the file in the artifact, such as `images/a.png`; or a list of paths, for
                which an object of addresses by path is returned.
            download_weight: What a download of the file adds to the artifact's download count; a list of
                the same length for a list of paths.
            use_proxy: Where files lie in S3: true for an address of this server, false for one of S3.
            use_local_url: true for one of the server's own network, or the base of the server or of S3.
            expires_in: Seconds for which the address is good, 60 to 604800.
            branch: For artifacts that are kept in git only.
            sha256: The sha-256 of the file in hex: bytes of another one are refused when they come. A list of
                the same length for a list of paths.
        """
        artifact = await self.parts.access.allowed(artifact_id, context, "put_file")
        paths = _paths(file_path)
        digests = dict(zip(paths, _digests(sha256, paths, file_path), strict=True))
        weights = _weights(download_weight, len(paths), is_list=isinstance(file_path, list | tuple))
        seconds, reach = check_expiry(expires_in), reach_of(use_proxy, use_local_url)
        files = {path: Staged(path, False, weight) for path, weight in zip(paths, weights, strict=True)}
        await self.staging.announce(artifact, list(files.values()))
        most = await self.room_for(artifact)
        sign = partial(self.parts.urls.put, expires_in=seconds, reach=reach, max_bytes=most)
        made = await in_turns(files, lambda path: sign(artifact.stage_key(path), sha256=digests[path] or ""))
        urls = dict(zip(files, made, strict=True))
        return urls if isinstance(file_path, list | tuple) else urls[paths[0]]

    @permission(Level.NONE, on=ON_ARTIFACT, note="get_file on the artifact", gives_bytes=BRIEF_BYTES)
    async def get_file(
        self,
        artifact_id: str,
        file_path: Many,
        silent: bool = False,
        version: str | int | None = None,
        stage: bool = False,
        branch: str | None = None,
        use_proxy: bool | None = None,
        use_local_url: bool | str = False,
        expires_in: Expiry = 3600,
        *,
        context: Context,
    ) -> Any:
        """Get an address at which a file can be downloaded with an HTTP GET.

        Args:
            artifact_id: The artifact.
            file_path: The path of the file; or a list, for which an object of addresses by path is returned.
            silent: Don't count the download.
            version: The version, by name or index; the latest if left out, `stage` for what is staged.
            stage: The same as `version="stage"`.
            branch: For artifacts that are kept in git only.
            use_proxy: Where files lie in S3: true for an address of this server, false for one of S3.
            use_local_url: true for one of the server's own network, or the base of the server or of S3.
            expires_in: Seconds for which the address is good, 60 to 604800.
        """
        staged = is_staged_asked(version, stage)
        artifact = await self.readable(artifact_id, context, "get_file", staged=staged)
        paths = _paths(file_path)
        seconds, reach = check_expiry(expires_in), reach_of(use_proxy, use_local_url)
        found = await self.view.find(artifact, version, paths, staged=staged)
        made = await in_turns(
            found, lambda each: self.parts.urls.get(each.key, expires_in=seconds, reach=reach)
        )
        urls = {each.path: url for each, url in zip(found, made, strict=True)}
        weight = download_weight(artifact, paths)
        if weight and silent is not True:
            await self.parts.artifacts.count(artifact.id, downloads=weight)
        return urls if isinstance(file_path, list | tuple) else urls[paths[0]]

    @permission(Level.NONE, on=ON_ARTIFACT, note="list_files on the artifact", gives_bytes=FILES_BYTES)
    async def list_files(
        self,
        artifact_id: str,
        dir_path: str | None = None,
        limit: Annotated[int, {"minimum": 1, "maximum": MAX_LISTED_FILES}] = 1000,
        version: str | int | None = None,
        stage: bool = False,
        branch: str | None = None,
        include_pending: bool = False,
        offset: Annotated[int, {"minimum": 0}] = 0,
        *,
        context: Context,
    ) -> list[dict[str, Any]]:
        """List the files and folders of an artifact, one level of them.

        Gives `{"type": "file", "name", "size", "last_modified"}` and `{"type": "directory", "name"}`.

        Args:
            artifact_id: The artifact.
            dir_path: The folder; the artifact itself if left out.
            limit: How many entries at most, 1 to 10000.
            version: The version, by name or index; the latest if left out, `stage` for what is staged.
            stage: The same as `version="stage"`.
            branch: For artifacts that are kept in git only.
            include_pending: With `stage`: also files that were announced and not yet uploaded.
            offset: How many entries to skip.
        """
        staged = is_staged_asked(version, stage)
        artifact = await self.readable(artifact_id, context, "list_files", staged=staged)
        if not is_whole(limit) or not 1 <= limit <= MAX_LISTED_FILES:
            raise InvalidRequest(f"limit must be a whole number from 1 to {MAX_LISTED_FILES}.")
        folder, skipped = check_folder(rooted(dir_path)), check_offset(offset)
        if staged:
            pending = include_pending is True
            found = await self.view.listed_staged(artifact, folder, skipped, limit, pending=pending)
        else:
            found = await self.view.listed(artifact, version, folder, skipped, limit)
        if not found and skipped == 0:
            check_folder(dir_path)  # an absolute path that names nothing here was meant for elsewhere
        return found

    @permission(Level.NONE, on=ON_ARTIFACT, note="remove_file on the artifact")
    async def remove_file(
        self,
        artifact_id: str,
        file_path: str,
        branch: str | None = None,
        pending_only: bool = False,
        *,
        context: Context,
    ) -> None:
        """Remove a file: one that is staged at once, one of the latest version with the next commit.

        Args:
            artifact_id: The artifact, which must be staged.
            file_path: The path of the file.
            branch: For artifacts that are kept in git only.
            pending_only: Only give up what was announced or begun and never came: a file that is there,
                committed or staged, stays.
        """
        artifact = await self.parts.access.allowed(artifact_id, context, "remove_file")
        path = check_path(file_path)
        staged_round(artifact)
        known = (await self.parts.files.find_staged(artifact.id, [path])).get(path)
        if pending_only is True:
            if known is None or known.is_removed:
                raise FileNotFound(f"No upload of '{path}' to the artifact {artifact.full_id} is pending.")
            has_come = await self.view.is_uploaded(artifact, path)
            return await self.staging.give_up(artifact, path, has_come=has_come)
        edited = artifact.edited
        committed = edited and await self.parts.files.find(artifact.id, edited.number, [path])
        if (known is None or known.is_removed) and not committed:
            raise FileNotFound(f"File '{path}' does not exist in the artifact {artifact.full_id}.")
        if known is not None and not known.is_removed:
            await self.staging.withdraw(artifact, path)
        if committed:
            await self.staging.announce(artifact, [Staged(path, True)])

    # -- uploads in parts

    @permission(Level.NONE, on=ON_ARTIFACT, note="put_file on the artifact", gives_bytes=FILES_BYTES)
    async def put_file_start_multipart(
        self,
        artifact_id: str,
        file_path: str,
        part_count: PartCount,
        download_weight: float = 0,
        expires_in: Expiry = 3600,
        use_proxy: bool | None = None,
        use_local_url: bool | str = False,
        sha256: str | None = None,
        *,
        context: Context,
    ) -> dict[str, Any]:
        """Begin to upload a large file in parts; gives `{"upload_id", "parts": [{"part_number", "url"}]}`.

        Each part is sent with an HTTP PUT to its address, in any order; the `ETag` of each answer goes to
        `put_file_complete_multipart`.

        Args:
            artifact_id: The artifact, which must be staged.
            file_path: The path of the file.
            part_count: How many parts, 1 to 10000.
            download_weight: What a download of the file adds to the artifact's download count.
            expires_in: Seconds for which the upload is open, 60 to 604800.
            use_proxy: Where files lie in S3: true for an address of this server, false for one of S3.
            use_local_url: true for those of the server's own network, or the base of the server or of S3.
            sha256: The sha-256 of the whole file in hex: parts that are together another file are refused.
        """
        parts, digest = self.parts, checked_sha256(sha256)
        artifact = await parts.access.allowed(artifact_id, context, "put_file")
        path, weight, seconds = check_path(file_path), check_weight(download_weight), check_expiry(expires_in)
        if not is_whole(part_count) or not 1 <= part_count <= MAX_PARTS:
            raise InvalidRequest(f"part_count must be a whole number from 1 to {MAX_PARTS}.")
        round_id, key = staged_round(artifact), artifact.stage_key(path)
        reach = reach_of(use_proxy, use_local_url)
        most, life_s = await self.room_for(artifact), seconds + UPLOAD_GRACE_S
        upload = await parts.store.begin(key, content_type=self.type_of(path), sha256=digest)
        try:
            async with records.changing(parts.data) as connection:
                await file_records.note_upload(
                    connection, upload, artifact.id, path, key, parts.clock(), life_s, digest or ""
                )
                await file_records.stage(connection, artifact.id, round_id, [Staged(path, False, weight)])
        except HyphaError:
            await parts.store.abort(key, upload)
            raise
        sign = partial(parts.urls.part, key, upload, expires_in=seconds, reach=reach, max_bytes=most)
        urls = await in_turns(range(1, part_count + 1), sign)
        told = [{"part_number": number, "url": url} for number, url in enumerate(urls, 1)]
        return {"upload_id": upload, "parts": told}

    @permission(Level.NONE, on=ON_ARTIFACT, note="put_file on the artifact")
    async def put_file_complete_multipart(
        self, artifact_id: str, upload_id: str, parts: list[dict[str, Any]], *, context: Context
    ) -> dict[str, Any]:
        """Put the parts of an upload together.

        Args:
            artifact_id: The artifact.
            upload_id: What `put_file_start_multipart` gave.
            parts: `{"part_number", "etag"}` of each part, in any order.
        """
        own = self.parts
        artifact = await own.access.allowed(artifact_id, context, "put_file")
        known = await own.files.upload(upload_id) if isinstance(upload_id, str) else None
        if known is None or known.artifact != artifact.id or known.expires_at <= own.clock():
            raise UploadNotFound("Upload session expired or not found")
        if known.key != artifact.stage_key(known.path):
            raise UploadNotFound("Upload session expired or not found: the artifact was committed meanwhile.")
        try:
            await own.store.complete(known.key, upload_id, _told_parts(parts))
        except UploadNotFound:
            raise UploadNotFound("Upload session expired or not found") from None
        async with own.data.writing() as connection:
            await file_records.forget_upload(connection, upload_id)
        return {"success": True, "message": "File uploaded successfully"}

    # -- what callers say

    async def room_for(self, artifact: Artifact) -> int | None:
        """How many bytes the files of the workspace may grow; None for no bound."""
        record = await self.parts.access.check_writable(artifact.workspace, is_admin=True)
        allowance = self.parts.access.allowance(record, file_records.KIND)
        if allowance is None:
            return None
        _, used = (await self.parts.usage.of(artifact.workspace)).get(file_records.KIND, (0, 0))
        room: int = allowance.quota.size_bytes - used
        return max(0, room)


def _paths(file_path: object) -> list[str]:
    if not isinstance(file_path, list | tuple):
        return [check_path(file_path)]
    if not file_path or len(file_path) > MAX_PATHS:
        raise InvalidRequest(f"A list of paths has 1 to {MAX_PATHS} of them.")
    return [check_path(path) for path in file_path]


def _weights(given: object, count: int, *, is_list: bool) -> list[float]:
    if not isinstance(given, list | tuple):
        return [check_weight(0 if given is None else given)] * count
    if not is_list or len(given) != count:
        raise InvalidRequest("download_weight is a number, or a list as long as that of the paths.")
    return [check_weight(weight) for weight in given]


def _digests(given: object, paths: Sequence[str], file_path: object) -> list[str | None]:
    if not isinstance(given, list | tuple):
        if given and isinstance(file_path, list | tuple):
            raise InvalidRequest("sha256 is a list as long as that of the paths.")
        return [checked_sha256(given)] * len(paths)
    if not isinstance(file_path, list | tuple) or len(given) != len(paths):
        raise InvalidRequest("sha256 is a text, or a list as long as that of the paths.")
    return [checked_sha256(each) for each in given]


def _told_parts(parts: object) -> Sequence[tuple[int, str]]:
    if not isinstance(parts, list | tuple) or not 0 < len(parts) <= MAX_PARTS:
        raise InvalidRequest(f"parts is a list of 1 to {MAX_PARTS} objects with part_number and etag.")
    told: dict[int, str] = {}
    for part in parts:
        number, etag = (part.get("part_number"), part.get("etag")) if isinstance(part, dict) else (None, None)
        if not is_whole(number) or not isinstance(etag, str) or number in told:
            raise InvalidRequest("Each part is an object with its part_number and etag, once.")
        told[number] = etag.strip().removeprefix("W/").strip('"')
    return sorted(told.items())
