"""Functions of the artifact manager that carry contents, secrets and weights themselves."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.errors import InvalidRequest
from hypha.features.artifacts import records
from hypha.features.artifacts.access import is_staged_asked
from hypha.features.artifacts.answer_sizes import CONTENT_BYTES, FILES_BYTES
from hypha.features.artifacts.artifact import Artifact
from hypha.features.artifacts.base import ON_ARTIFACT
from hypha.features.artifacts.checks import MAX_WEIGHTS, check_weight
from hypha.features.artifacts.contents import MAX_BYTES, checked_encoding, checked_format, read_as, written_as
from hypha.features.artifacts.file_records import Staged
from hypha.features.artifacts.functions_artifacts import ArtifactFunctions
from hypha.features.artifacts.ids import Reference
from hypha.features.artifacts.secrets import check_name, checked_value
from hypha.objects.paths import check_path
from hypha.values import check_offset, is_whole

DEFAULT_BYTES = 65536
IN_THREAD_BYTES = 64 * 1024
"""Larger contents are converted in a thread."""


class ContentFunctions(ArtifactFunctions):
    """Small files as values, secrets, and what downloads count."""

    @permission(Level.NONE, on=ON_ARTIFACT, note="get_file on the artifact", gives_bytes=CONTENT_BYTES)
    async def read_file(
        self,
        artifact_id: str,
        file_path: str,
        format: str = "text",
        encoding: str = "utf-8",
        offset: Annotated[int, {"minimum": 0}] = 0,
        limit: Annotated[int | None, {"minimum": 1, "maximum": MAX_BYTES}] = None,
        version: str | int | None = None,
        stage: bool = False,
        branch: str | None = None,
        *,
        context: Context,
    ) -> dict[str, Any]:
        """Read a small file, or a part of one; gives `{"name", "content"}`.

        Args:
            artifact_id: The artifact.
            file_path: The path of the file.
            format: `text`, `binary`, `base64` or `json`.
            encoding: Of text and JSON, such as `utf-8`.
            offset: How many bytes to skip.
            limit: How many bytes at most, 1 to 10485760; 65536 if left out.
            version: The version, by name or index; the latest if left out, `stage` for what is staged.
            stage: The same as `version="stage"`.
            branch: For artifacts that are kept in git only.
        """
        staged = is_staged_asked(version, stage)
        artifact = await self.readable(artifact_id, context, "get_file", staged=staged)
        path, form, coding = check_path(file_path), checked_format(format), checked_encoding(encoding)
        most = DEFAULT_BYTES if limit is None else limit
        if not is_whole(most) or not 1 <= most <= MAX_BYTES:
            raise InvalidRequest(f"limit must be a whole number from 1 to {MAX_BYTES}.")
        start = check_offset(offset)
        (found,) = await self.view.find(artifact, version, [path], staged=staged)
        reading = await self.parts.store.open(found.key, start, start + most)
        try:
            data, is_all = await reading.whole(), reading.stop >= reading.info.size
        finally:
            await reading.close()
        if len(data) > IN_THREAD_BYTES:
            content = await self.parts.crew.work(partial(read_as, data, form, coding, is_whole=is_all))
        else:
            content = read_as(data, form, coding, is_whole=is_all)
        return {"name": path, "content": content}

    @permission(Level.NONE, on=ON_ARTIFACT, note="put_file on the artifact", takes_bytes=2 * MAX_BYTES)
    async def write_file(
        self,
        artifact_id: str,
        file_path: str,
        content: Any,
        format: str = "text",
        encoding: str = "utf-8",
        branch: str | None = None,
        *,
        context: Context,
    ) -> dict[str, Any]:
        """Write a small file into an artifact that is staged; gives `{"success", "bytes_written"}`.

        Args:
            artifact_id: The artifact.
            file_path: The path of the file.
            content: A text; bytes for the format `binary`; a text of base64; any plain value for `json`.
            format: `text`, `binary`, `base64` or `json`.
            encoding: Of text and JSON, such as `utf-8`.
            branch: For artifacts that are kept in git only.
        """
        artifact = await self.parts.access.allowed(artifact_id, context, "put_file")
        path, form, coding = check_path(file_path), checked_format(format), checked_encoding(encoding)
        if not artifact.is_staged:
            raise InvalidRequest(
                "Artifact must be in staging mode to write files: call edit with stage=True first."
            )
        data = await self.parts.crew.work(partial(written_as, content, form, coding))
        await self.staging.announce(artifact, [Staged(path)])
        await self.parts.store.put(artifact.stage_key(path), data, content_type=self.type_of(path))
        await self.staging.check_wanted(artifact, path)
        return {"success": True, "bytes_written": len(data)}

    # -- secrets and weights

    @permission(
        Level.NONE,
        on=ON_ARTIFACT,
        note="get_secret on the artifact, which administrators have",
        gives_bytes=FILES_BYTES,
    )
    async def get_secret(self, artifact_id: str, secret_key: str | None = None, *, context: Context) -> Any:
        """Read a secret of an artifact, null if there is none; or all of them.

        Args:
            artifact_id: The artifact.
            secret_key: The name of the secret; all if left out.
        """
        artifact = await self.parts.access.allowed(artifact_id, context, "get_secret")
        secrets = await self._secrets.all(artifact.id)
        return secrets if secret_key is None else secrets.get(check_name(secret_key))

    @permission(
        Level.NONE, on=ON_ARTIFACT, note="set_secret on the artifact, which writers of the workspace have"
    )
    async def set_secret(
        self, artifact_id: str, secret_key: str, secret_value: Any, *, context: Context
    ) -> None:
        """Set a secret of an artifact; null removes it. It is encrypted, and in no version or list.

        Args:
            artifact_id: The artifact.
            secret_key: The name of the secret, up to 256 characters.
            secret_value: A plain value, up to 64 KiB.
        """
        access = self.parts.access
        artifact = await access.allowed(artifact_id, context, "set_secret")
        name, value = check_name(secret_key), checked_value(secret_key, secret_value)
        record = await access.check_writable(artifact.workspace, is_admin=True)
        await self._secrets.set(artifact, record, name, value, access.allowance(record, records.KIND))

    @permission(Level.NONE, on=ON_ARTIFACT, note="set_download_weight on the artifact, which writers have")
    async def set_download_weight(
        self, artifact_id: str, file_path: str, download_weight: float, *, context: Context
    ) -> None:
        """Say what a download of a file adds to the artifact's download count; 0 for nothing.

        Args:
            artifact_id: The artifact.
            file_path: The path of the file, or `create-zip-file` for a download of all as a zip.
            download_weight: A number of 0 or more.
        """
        artifact = await self.parts.access.allowed(artifact_id, context, "set_download_weight")
        path, weight = check_path(file_path), check_weight(download_weight)
        async with self.parts.locks.held(artifact.id):
            current = await self.parts.access.find(Reference(id=artifact.id), context)
            await self._weigh(current, path, weight)

    async def _weigh(self, artifact: Artifact, path: str, weight: float) -> None:
        weights = {**(artifact.config.get("download_weights") or {}), path: weight}
        if not weight:
            del weights[path]
        if len(weights) > MAX_WEIGHTS:
            raise InvalidRequest(f"An artifact has at most {MAX_WEIGHTS:,} download weights.")
        config = {**artifact.config, "download_weights": weights}
        added = records.record_size(config) - records.record_size(dict(artifact.config))
        parts = self.parts
        record = await parts.access.check_writable(artifact.workspace, is_admin=True)
        allowance = parts.access.allowance(record, records.KIND)
        async with parts.data.writing() as connection:
            await records.locked(connection, artifact)
            await parts.usage.add(connection, record, records.KIND, 0, added, allowance)
            await records.change(connection, artifact.id, config=config, size=artifact.size + added)
