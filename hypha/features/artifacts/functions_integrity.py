"""Functions of the artifact manager for who moves many files: what is there already, and is it whole?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.errors import InvalidRequest, UploadNotFound
from hypha.features.artifacts import file_records
from hypha.features.artifacts.access import is_staged_asked
from hypha.features.artifacts.answer_sizes import BRIEF_BYTES, FILES_BYTES
from hypha.features.artifacts.base import ON_ARTIFACT
from hypha.features.artifacts.files import MAX_PATHS, check_expiry
from hypha.features.artifacts.functions_files import (
    UPLOAD_GRACE_S,
    Expiry,
    FileFunctions,
    Many,
    PartCount,
)
from hypha.features.artifacts.inventory import Inventory
from hypha.features.artifacts.parts import Parts
from hypha.features.artifacts.reusing import Reusing
from hypha.features.artifacts.verifying import Verifying
from hypha.objects.digests import checked_sha256
from hypha.objects.paths import check_path
from hypha.objects.store import MAX_PARTS, Part
from hypha.objects.urls import in_turns, reach_of
from hypha.values import is_whole

MAX_CONTENTS = 1000


class IntegrityFunctions(FileFunctions):
    """Contents by their digests: listed, used again, and verified."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._inventory = Inventory(parts)
        self._reusing = Reusing(parts)
        self._verifying = Verifying(parts)

    @permission(
        Level.NONE,
        on=ON_ARTIFACT,
        note="list_files and get_file on the artifact, edit for what is staged",
        gives_bytes=FILES_BYTES,
    )
    async def list_contents(
        self,
        artifact_id: str,
        version: str | int | None = None,
        stage: bool = False,
        after: str = "",
        limit: Annotated[int, {"minimum": 1, "maximum": MAX_CONTENTS}] = MAX_CONTENTS,
        *,
        context: Context,
    ) -> dict[str, Any]:
        """List all files of an artifact, in all its folders, with what is known of their contents.

        Gives `{"files": [{"path", "size", "sha256", "last_modified"}], "after"}`; `after` is for the next
        call, and null at the end. What is staged has no `sha256` where it came in parts without one.

        Args:
            artifact_id: The artifact.
            version: The version, by name or index; the latest if left out, `stage` for what is staged.
            stage: Only what was uploaded since the last commit.
            after: Where the page before ended.
            limit: How many files at most, 1 to 1000.
        """
        staged = is_staged_asked(version, stage)
        artifact = await self.readable(artifact_id, context, "list_files", staged=staged)
        await self.parts.access.require(artifact, context, "get_file")
        if not is_whole(limit) or not 1 <= limit <= MAX_CONTENTS:
            raise InvalidRequest(f"limit must be a whole number from 1 to {MAX_CONTENTS}.")
        start = check_path(after) if after else ""
        if staged:
            return await self._inventory.staged(artifact, start, limit)
        return await self._inventory.committed(artifact, version, start, limit)

    @permission(
        Level.NONE, on=ON_ARTIFACT, note="put_file and get_file on the artifact", gives_bytes=BRIEF_BYTES
    )
    async def reuse_files(
        self, artifact_id: str, files: dict[str, str], *, context: Context
    ) -> dict[str, Any]:
        """Stage files whose content the artifact has already, so that they need no upload.

        The content is looked for in all versions, and read to see that it is whole. Gives `{"reused": [path],
        "missing": [path]}`: upload what is missing.

        Args:
            artifact_id: The artifact, which must be staged.
            files: The sha-256 in hex of each file, by its path; at most 10,000.
        """
        artifact = await self.parts.access.allowed(artifact_id, context, "put_file", "get_file")
        if not isinstance(files, Mapping) or not 1 <= len(files) <= MAX_PATHS:
            raise InvalidRequest(f"files is an object with the sha-256 of 1 to {MAX_PATHS:,} paths.")
        wanted = {check_path(path): checked_sha256(digest or "none") or "" for path, digest in files.items()}
        reused = await self._reusing.reuse(artifact, wanted, context.user.person)
        known = set(reused)
        return {"reused": reused, "missing": [path for path in wanted if path not in known]}

    @permission(Level.NONE, on=ON_ARTIFACT, note="put_file on the artifact", gives_bytes=FILES_BYTES)
    async def put_file_resume_multipart(
        self,
        artifact_id: str,
        file_path: str,
        part_count: PartCount,
        upload_id: str | None = None,
        expires_in: Expiry = 3600,
        use_proxy: bool | None = None,
        use_local_url: bool | str = False,
        sha256: str | None = None,
        *,
        context: Context,
    ) -> dict[str, Any]:
        """Go on with an upload in parts that stopped; gives what `put_file_start_multipart` gives.

        A part that is there already has its `etag` and `size` with it, and need not be sent again.

        Args:
            artifact_id: The artifact.
            file_path: The path of the file.
            part_count: How many parts, 1 to 10000.
            upload_id: The upload; the one to this path that was begun last if left out.
            expires_in: Seconds for which the upload is open from now on, 60 to 604800.
            use_proxy: Where files lie in S3: true for an address of this server, false for one of S3.
            use_local_url: true for those of the server's own network, or the base of the server or of S3.
            sha256: The sha-256 of the whole file in hex: only an upload that was begun with it goes on.
        """
        own, digest = self.parts, checked_sha256(sha256)
        artifact = await own.access.allowed(artifact_id, context, "put_file")
        path, seconds = check_path(file_path), check_expiry(expires_in)
        reach = reach_of(use_proxy, use_local_url)
        if not is_whole(part_count) or not 1 <= part_count <= MAX_PARTS:
            raise InvalidRequest(f"part_count must be a whole number from 1 to {MAX_PARTS}.")
        now = own.clock()
        upload = upload_id or await own.files.open_upload(artifact.id, path, now, digest)
        known = await own.files.upload(upload) if isinstance(upload, str) else None
        if known is None or (known.artifact, known.path) != (artifact.id, path) or known.expires_at <= now:
            raise UploadNotFound("Upload session expired or not found: there is none to this path.")
        if digest and known.sha256 != digest:
            raise UploadNotFound("Upload session expired or not found: this one is of another content.")
        if known.key != artifact.stage_key(path):
            raise UploadNotFound("Upload session expired or not found: the artifact was committed meanwhile.")
        there = {part.number: part for part in await own.store.parts(known.key, str(upload))}
        async with own.data.writing() as connection:
            await file_records.prolong_upload(connection, str(upload), now + seconds + UPLOAD_GRACE_S)
        most = await self.room_for(artifact)
        sign = partial(own.urls.part, known.key, str(upload), expires_in=seconds, reach=reach, max_bytes=most)
        urls = await in_turns(range(1, part_count + 1), sign)
        return {
            "upload_id": upload,
            "parts": [_shown(number, url, there.get(number)) for number, url in enumerate(urls, 1)],
        }

    @permission(Level.NONE, on=ON_ARTIFACT, note="edit on the artifact", gives_bytes=BRIEF_BYTES)
    async def verify(
        self,
        artifact_id: str,
        version: str | int | None = None,
        file_path: Many | None = None,
        all_versions: bool = False,
        progress_callback: Any = None,
        *,
        context: Context,
    ) -> dict[str, Any]:
        """Read committed files and find those whose bytes are no longer what was committed.

        Gives `{"files", "bytes", "damaged": [{"path", "version", "problem", "sha256"}]}`; the problem is
        `missing` or `changed`. Upload a damaged file again to mend it.

        Args:
            artifact_id: The artifact.
            version: The version, by name or index; the latest if left out.
            file_path: These files alone; all if left out.
            all_versions: The files of all versions.
            progress_callback: A function of yours that hears now and then how many files were read.
        """
        artifact = await self.parts.access.allowed(artifact_id, context, "edit")
        paths = None
        if file_path is not None:
            given = [file_path] if isinstance(file_path, str) else file_path
            if not isinstance(given, list | tuple) or not 1 <= len(given) <= MAX_PATHS:
                raise InvalidRequest(f"file_path is a path, or a list of 1 to {MAX_PATHS:,} paths.")
            paths = [check_path(path) for path in given]
        chosen = list(artifact.versions) if all_versions is True else [artifact.version(version)]
        async with self.parts.progress(progress_callback, context, "verify") as progress:
            return await self._verifying.verify(artifact, chosen, paths, context.user.person, progress)


def _shown(number: int, url: str, there: Part | None) -> dict[str, Any]:
    part: dict[str, Any] = {"part_number": number, "url": url}
    return part if there is None else {**part, "etag": there.etag, "size": there.size}
