"""Functions of the artifact manager that change what is there: delete, duplicate, move, count anew."""

from __future__ import annotations

from typing import Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.background import to_its_end
from hypha.builtins.permission import permission
from hypha.errors import PermissionDenied
from hypha.features.artifacts.answer_sizes import ARTIFACT_BYTES, BRIEF_BYTES
from hypha.features.artifacts.artifact import Artifact
from hypha.features.artifacts.base import ON_ARTIFACT
from hypha.features.artifacts.creating import Creating, Wish, check_parent, target_of
from hypha.features.artifacts.deleting import Deleting
from hypha.features.artifacts.functions_artifacts import ArtifactFunctions
from hypha.features.artifacts.ids import Reference
from hypha.features.artifacts.inboxes import is_recipient
from hypha.features.artifacts.moving import LOST_IN_COPIES, Moving
from hypha.features.artifacts.parts import Parts
from hypha.features.artifacts.secrets import Secrets


class TreeFunctions(ArtifactFunctions):
    """Artifacts among others."""

    def __init__(self, parts: Parts, creating: Creating, secrets: Secrets) -> None:
        super().__init__(parts, creating, secrets)
        self._moving = Moving(parts, creating)
        self._deleting = Deleting(parts)

    @permission(Level.NONE, on=ON_ARTIFACT, note="delete on the artifact, and detach on its parent")
    async def delete(
        self,
        artifact_id: str,
        delete_files: bool = False,
        recursive: bool = False,
        version: str | int | None = None,
        progress_callback: Any = None,
        *,
        context: Context,
    ) -> None:
        """Delete an artifact with all its versions, or one version.

        Args:
            artifact_id: The artifact.
            delete_files: Accepted; files go with their artifact, nobody could reach them without it.
            recursive: Also delete all that is in a collection; without it one with children is refused.
            version: Delete this version alone; the others keep their names and files.
            progress_callback: A function of yours that hears now and then how many artifacts are gone.
        """
        artifact = await self.parts.access.find(artifact_id, context)
        if recursive is True or version is not None or not is_recipient(artifact, context):
            await self.parts.access.require(artifact, context, "delete")
            if version is None:
                await self.parts.access.require_of_parent(artifact, context, "detach")

        async def delete() -> None:
            async with self.parts.locks.held(artifact.id):
                current = await self.parts.access.find(Reference(id=artifact.id), context)
                if version is not None:
                    await self._deleting.version(current, version)
                else:
                    await self._deleting.artifact(current, progress, recursive=recursive is True)

        async with self.parts.progress(progress_callback, context, "delete") as progress:
            await to_its_end(delete())

    @permission(
        Level.NONE,
        on=ON_ARTIFACT,
        note="read on the artifact, and read_write on the target workspace or create on the target parent",
        gives_bytes=BRIEF_BYTES,
    )
    async def duplicate(
        self,
        source_artifact_id: str,
        target_alias: str | None = None,
        target_workspace: str | None = None,
        target_parent_id: str | None = None,
        overwrite: bool = False,
        remove_secrets: bool = True,
        stage: bool = False,
        progress_callback: Any = None,
        *,
        context: Context,
    ) -> dict[str, Any]:
        """Make a copy of an artifact: its manifest, settings and the files of its latest version, as `v0`.

        Args:
            source_artifact_id: What is copied.
            target_alias: The alias of the copy; a readable one is made if left out.
            target_workspace: Where the copy is kept; the parent's workspace, else your own current one.
            target_parent_id: The collection that it shall be in.
            overwrite: Take the place of an artifact of that alias.
            remove_secrets: Accepted; secrets are never copied.
            stage: Make a draft of the copy.
            progress_callback: A function of yours that hears now and then how many files are copied.
        """
        access = self.parts.access
        source = await access.allowed(source_artifact_id, context, "read", "get_file", "list_files")
        parent = None
        if target_parent_id is not None:
            parent = await access.find(target_parent_id, context)
            check_parent(parent)
            caller = await access.caller(context, parent.workspace)
            access.check_parent(caller, parent.permissions, "create")
        workspace, alias = target_of(target_alias, None, target_workspace, parent, context.workspace)
        config = {key: value for key, value in source.config.items() if key not in LOST_IN_COPIES}
        wish = Wish(
            workspace, alias, parent, source.type, source.manifest, {**config, "permissions": {}}, {},
            overwrite=overwrite is True, stage=stage is True,
        )  # fmt: skip
        async with self.parts.progress(progress_callback, context, "duplicate") as progress:
            made = await to_its_end(self._moving.duplicate(source, wish, context, progress))
        return await self.shown(made, staged=stage is True)

    @permission(
        Level.NONE,
        on=ON_ARTIFACT,
        note="read on the artifact, detach on its parent, attach on the new one",
        gives_bytes=ARTIFACT_BYTES,
    )
    async def set_parent(
        self, artifact_id: str, new_parent_id: str | None = None, *, context: Context
    ) -> dict[str, Any]:
        """Move an artifact into another collection, or out of its collection.

        Args:
            artifact_id: The artifact.
            new_parent_id: The collection, in the same workspace; out of any if left out.
        """
        artifact = await self.parts.access.allowed(artifact_id, context, "read")
        parent = None if new_parent_id is None else await self.parts.access.find(new_parent_id, context)
        if artifact.parent_id is None:
            await self._check_own(artifact, context)

        async def move() -> Artifact:
            async with self.parts.locks.held(artifact.id):
                current = await self.parts.access.find(Reference(id=artifact.id), context)
                await self._moving.set_parent(current, parent, context)
            return await self.parts.access.find(Reference(id=artifact.id), context)

        return await self.shown(await to_its_end(move()), staged=False)

    @permission(Level.NONE, on=ON_ARTIFACT, note="reset_stats on the artifact")
    async def reset_stats(self, artifact_id: str, *, context: Context) -> None:
        """Count views and downloads anew, from 0.

        Args:
            artifact_id: The artifact.
        """
        artifact = await self.parts.access.allowed(artifact_id, context, "reset_stats")
        await self.parts.artifacts.reset_counts(artifact.id)

    async def _check_own(self, artifact: Artifact, context: Context) -> None:
        """Refuse to move an artifact without a parent for who may not change it."""
        caller = await self.parts.access.caller(context, artifact.workspace)
        if not caller.may("edit", artifact.permissions):
            raise PermissionDenied("User does not have permission 'edit' on the artifact.")
