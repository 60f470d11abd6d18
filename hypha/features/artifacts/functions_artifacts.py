"""Functions of the artifact manager for artifacts as a whole: create, read, edit, commit, discard."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.background import to_its_end
from hypha.builtins.permission import permission
from hypha.errors import InvalidRequest, PermissionDenied
from hypha.features.artifacts.access import is_staged_asked
from hypha.features.artifacts.answer_sizes import ARTIFACT_BYTES, BRIEF_BYTES, FILES_BYTES
from hypha.features.artifacts.artifact import (
    EDIT_VERSION,
    NEW_VERSION,
    Artifact,
    NotStaged,
    check_version_name,
)
from hypha.features.artifacts.base import ON_ARTIFACT, Functions
from hypha.features.artifacts.checks import (
    COLLECTIONS,
    check_comment,
    check_config,
    check_manifest,
    check_type,
)
from hypha.features.artifacts.creating import Creating, Wish, check_parent, target_of
from hypha.features.artifacts.parts import Parts
from hypha.features.artifacts.records import KIND
from hypha.features.artifacts.schemas import check_against_beside, check_schema_beside
from hypha.features.artifacts.secrets import Secrets, check_secrets
from hypha.features.artifacts.staging import shown_staged

Plain = dict[str, Any]


class ArtifactFunctions(Functions):
    """Artifacts and their versions."""

    def __init__(self, parts: Parts, creating: Creating, secrets: Secrets) -> None:
        super().__init__(parts)
        self._creating = creating
        self._secrets = secrets

    @permission(
        Level.NONE,
        on=ON_ARTIFACT,
        note="read_write on the target workspace, or draft or attach on the parent",
        gives_bytes=ARTIFACT_BYTES,
    )
    async def create(
        self,
        alias: str | None = None,
        artifact_id: str | None = None,
        workspace: str | None = None,
        parent_id: str | None = None,
        manifest: Plain | None = None,
        type: str = "generic",
        config: Plain | None = None,
        secrets: Plain | None = None,
        version: str | None = None,
        comment: str | None = None,
        overwrite: bool = False,
        stage: bool = False,
        *,
        context: Context,
    ) -> Plain:
        """Create an artifact: a manifest with versions and files, in a workspace that lasts.

        Args:
            alias: Its name in the workspace: letters, digits, `.`, `_`, `-`, up to 64 of them. A pattern such
                as `{animal}-{color}` is filled in from the collection's `id_parts`, or with `{uuid}`,
                `{timestamp}`, `{user_id}`. A readable one is made if left out.
            artifact_id: `workspace/alias`, in place of both.
            workspace: Where it is kept; the parent's, else your own current one.
            parent_id: The collection that it shall be in.
            manifest: What it is, an object such as `{"name": "My data", "description": "…"}`.
            type: `generic`, `collection`, `application`, or a word of your own such as `dataset`.
            config: Settings, such as `{"permissions": {"*": "r"}}`.
            secrets: Names and values that are kept encrypted and shown to nobody but administrators.
            version: The name of its first version, `v0` if left out.
            comment: What is said of that version.
            overwrite: Take the place of an artifact of that alias, which loses its versions and files.
            stage: Make a draft, to which files are uploaded before it is committed.
        """
        parent = None
        if parent_id is not None:
            parent = await self.parts.access.find(parent_id, context)
            check_parent(parent)
        chosen, name = target_of(alias, artifact_id, workspace, parent, context.workspace)
        kind = check_type(type)
        first = None if version in (None, "new", "stage") else check_version_name(version)
        checked = check_config(config)
        await check_schema_beside(self.parts.crew, checked.get("collection_schema"))
        content = await self.parts.crew.work(partial(check_manifest, manifest, kind))
        kept = check_secrets(secrets)
        wish = Wish(
            chosen, name, parent, kind, content, checked, kept,
            first, check_comment(comment), overwrite is True, stage is True or version == "stage",
            place=self._secrets.housing.place_of(kept),
        )  # fmt: skip
        made = await self._creating.create(wish, context)
        return await self.shown(made, staged=True)

    @permission(Level.NONE, on=ON_ARTIFACT, note="read on the artifact", gives_bytes=ARTIFACT_BYTES)
    async def read(
        self,
        artifact_id: str,
        silent: bool = False,
        version: str | int | None = None,
        stage: bool = False,
        *,
        context: Context,
    ) -> Plain:
        """Read an artifact: its manifest, settings, versions and counters.

        Args:
            artifact_id: `alias`, `workspace/alias`, or its internal id.
            silent: Don't count the view.
            version: The version, by name or index; the latest if left out, `stage` for what is staged.
            stage: The same as `version="stage"`.
        """
        staged = is_staged_asked(version, stage)
        artifact = await self.readable(artifact_id, context, "read", staged=staged)
        artifact = await self.as_of(artifact, version, staged=staged)
        shown = await self.shown(artifact, staged=staged)
        children = await self.parts.artifacts.children(artifact.id)
        if artifact.type in COLLECTIONS or children:
            shown["config"] |= {"child_count": children, "is_collection": True}
        if silent is not True:
            await self.parts.artifacts.count(artifact.id, views=1)
        return shown

    @permission(
        Level.NONE,
        on=ON_ARTIFACT,
        note="edit on the artifact; to change it at once also commit",
        gives_bytes=ARTIFACT_BYTES,
    )
    async def edit(
        self,
        artifact_id: str,
        manifest: Plain | None = None,
        type: str | None = None,
        config: Plain | None = None,
        secrets: Plain | None = None,
        version: str | None = None,
        comment: str | None = None,
        stage: bool = False,
        branch: str | None = None,
        *,
        context: Context,
    ) -> Plain:
        """Change an artifact: at once, or staged until it is committed.

        What is given takes the place of what was there; what is left out stays.

        Args:
            artifact_id: The artifact.
            manifest: Its new manifest.
            type: Its new type.
            config: Its new settings.
            secrets: Its new secrets, which are never staged.
            version: `new` for a new version, which begins without files; left out, the latest one is changed.
            comment: What is said of the version.
            stage: Open it for uploads and further changes, which readers see once it is committed.
            branch: For artifacts that are kept in git only.
        """
        if version not in (None, "new", "stage"):
            raise InvalidRequest(f"Invalid version '{str(version)[:100]}': edit takes 'new' or nothing.")
        is_staging, as_new, said = (
            stage is True or version == "stage",
            version == "new",
            check_comment(comment),
        )
        artifact = await self.parts.access.allowed(artifact_id, context, "edit")
        values = await self._checked_secrets(artifact, secrets, context)

        async def change() -> Artifact:
            async with self.parts.locks.held(artifact.id):
                current = await self.parts.access.find(artifact.id, context)
                changes = await self._changes(current, context, manifest, type, config)
                if is_staging:
                    return await self.staging.open(current, changes, as_new=as_new)
                await self._check_direct(current, context, as_new)
                is_edit = current.is_committed and current.intent in (None, EDIT_VERSION) and not as_new
                intent = EDIT_VERSION if is_edit else NEW_VERSION
                return await self.committing.commit(current, None, said, changes=changes, intent=intent)

        changed = await to_its_end(change())
        if values is not None:
            await self._replace_secrets(changed, values)
        return await self.shown(changed.as_staged() if is_staging else changed, staged=is_staging)

    @permission(
        Level.NONE,
        on=ON_ARTIFACT,
        note="commit on the artifact; the first time also attach on the parent",
        gives_bytes=BRIEF_BYTES,
    )
    async def commit(
        self,
        artifact_id: str,
        version: str | None = None,
        comment: str | None = None,
        branch: str | None = None,
        progress_callback: Any = None,
        *,
        context: Context,
    ) -> Plain:
        """Commit what is staged: readers see all of it from then on. Harmless where nothing is staged.

        Args:
            artifact_id: The artifact.
            version: The name of the new version, `v0`, `v1`, … if left out.
            comment: What is said of the version.
            branch: For artifacts that are kept in git only.
            progress_callback: A function of yours that hears now and then how many files are in place.
        """
        if version == "stage":
            raise NotStaged("A version cannot be named 'stage': leave it out, or choose another name.")
        name = None if version in (None, "new") else check_version_name(version)
        said = check_comment(comment)
        artifact = await self.parts.access.allowed(artifact_id, context, "commit")

        async def commit() -> Artifact:
            async with self.parts.locks.held(artifact.id):
                current = await self.parts.access.find(artifact.id, context)
                if not current.is_staged:
                    return _unchanged(current, name)
                if not current.is_committed:
                    await self.parts.access.require_of_parent(current, context, "attach")
                return await self.committing.commit(current, name, said, progress=progress)

        async with self.parts.progress(progress_callback, context, "commit") as progress:
            committed = await to_its_end(commit())
        return await self.shown(committed, staged=False)

    @permission(Level.NONE, on=ON_ARTIFACT, note="edit on the artifact", gives_bytes=ARTIFACT_BYTES)
    async def discard(self, artifact_id: str, *, context: Context) -> Plain:
        """Forget what is staged: fields, uploaded files and removals.

        Args:
            artifact_id: The artifact.
        """
        artifact = await self.parts.access.allowed(artifact_id, context, "edit")

        async def discard() -> Artifact:
            async with self.parts.locks.held(artifact.id):
                return await self.staging.discard(await self.parts.access.find(artifact.id, context))

        return await self.shown(await to_its_end(discard()), staged=True)

    @permission(Level.NONE, on=ON_ARTIFACT, note="edit on the artifact")
    async def discard_changes(
        self, artifact_id: str, branch: str | None = None, *, context: Context
    ) -> Plain:
        """Forget what is staged, if anything is; says what was done.

        Args:
            artifact_id: The artifact.
            branch: For artifacts that are kept in git only.
        """
        artifact = await self.parts.access.allowed(artifact_id, context, "edit")
        if not artifact.is_staged or not (artifact.is_committed or artifact.staged or artifact.staged_files):
            return {"status": "nothing_to_discard"}
        await self.discard(artifact_id, context=context)
        return {"status": "discarded", "branch": branch or "all"}

    @permission(
        Level.NONE,
        on=ON_ARTIFACT,
        note="get_file on the artifact, and edit or put_file for what is staged",
        gives_bytes=FILES_BYTES,
    )
    async def get_status(self, artifact_id: str, branch: str | None = None, *, context: Context) -> Plain:
        """Say whether an artifact is staged, and what is staged of its files.

        Args:
            artifact_id: The artifact.
            branch: For artifacts that are kept in git only.
        """
        artifact = await self.parts.access.allowed(artifact_id, context, "get_file")
        if not artifact.is_staged:
            return {"staged": False}
        await self.parts.access.require_draft(artifact, context)
        files = await shown_staged(await self.parts.files.staged(artifact.id))
        return {"staged": True, "intent": artifact.intent, "files": files}

    # -- inside

    async def shown(self, artifact: Artifact, *, staged: bool) -> Plain:
        """An artifact as results show it."""
        files = None
        if staged and artifact.is_staged:
            known = await self.parts.files.staged(artifact.id) if artifact.staged_files else []
            files = await shown_staged(known)
        return artifact.shown(staged_files=files)

    async def as_of(self, artifact: Artifact, version: object, *, staged: bool) -> Artifact:
        """An artifact as it was in a version, or as it will be; who may do what is told as it is now.

        Raises:
            UnknownVersion: there is no such version.
        """
        if staged:
            return artifact.as_staged()
        if version in (None, "latest"):
            return artifact
        found = artifact.version(version)
        kept = await self.parts.artifacts.snapshot(artifact.id, found.number)
        if kept is None:
            return artifact
        config = {name: value for name, value in kept["config"].items() if name != "permissions"}
        if "permissions" in artifact.config:
            config["permissions"] = artifact.config["permissions"]
        return replace(artifact, **{**kept, "config": config})

    async def _changes(
        self, artifact: Artifact, context: Context, manifest: object, kind: object, config: object
    ) -> Plain:
        """The fields that an edit brings, checked."""
        changes: Plain = {}
        chosen = check_type(kind) if kind is not None else artifact.as_staged().type
        if kind is not None:
            changes["type"] = chosen
        if manifest is not None:
            changes["manifest"] = await self.parts.crew.work(partial(check_manifest, manifest, chosen))
            if artifact.is_committed:
                schema = artifact.parent_config.get("collection_schema")
                await check_against_beside(self.parts.crew, schema, changes["manifest"])
        if config is not None:
            changes["config"] = checked = check_config(config)
            await check_schema_beside(self.parts.crew, checked.get("collection_schema"))
            caller = await self.parts.access.caller(context, artifact.workspace)
            if not caller.may_grant(
                artifact.permissions, checked.get("permissions"), artifact.parent_permissions
            ):
                raise PermissionDenied(
                    "config.permissions would give somebody more than you may do with the artifact yourself."
                )
        return changes

    async def _check_direct(self, artifact: Artifact, context: Context, as_new: bool) -> None:
        """Refuse an edit at once to whom the artifact, or its parent, lets only stage."""
        access = self.parts.access
        await access.require(artifact, context, "commit")
        if not artifact.is_committed:
            await access.require_of_parent(artifact, context, "attach")
            return
        await access.require_of_parent(artifact, context, "mutate")
        if as_new or artifact.intent == NEW_VERSION:
            await access.require_of_parent(artifact, context, "commit")

    async def _checked_secrets(self, artifact: Artifact, secrets: object, context: Context) -> Plain | None:
        """The secrets that an edit brings; None where they stay as they are."""
        if secrets is None:
            return None
        await self.parts.access.require(artifact, context, "set_secret")
        checked = check_secrets(secrets)
        await self._secrets.check(artifact, checked)
        return checked

    async def _replace_secrets(self, artifact: Artifact, values: Plain) -> None:
        record = await self.parts.access.check_writable(artifact.workspace, is_admin=True)
        await self._secrets.replace(artifact, record, values, self.parts.access.allowance(record, KIND))


def _unchanged(artifact: Artifact, name: str | None) -> Artifact:
    """What a commit gives where nothing is staged.

    Raises:
        NotStaged: a version is asked for that does not exist.
    """
    if name is not None and name not in {version.name for version in artifact.versions}:
        raise NotStaged(
            f"Artifact must be in staging mode to be committed as '{name}': call edit with stage=True first."
        )
    return artifact
