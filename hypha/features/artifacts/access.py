"""Finds the artifact that a call is about, and checks that its caller may do what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.errors import ArtifactNotFound, PermissionDenied
from hypha.features.artifacts.artifact import Artifact, NotStaged
from hypha.features.artifacts.ids import Reference, parse_reference
from hypha.features.artifacts.permissions import OF_PARENT, Caller
from hypha.features.artifacts.records import Artifacts
from hypha.store.records import WorkspaceRecord
from hypha.workspaces.lifecycle import Workspaces

FOR_DRAFTS = ("edit", "put_file")
"""Who holds one of these may see what is staged."""
_OF_ADMIN = ("detach", "mutate")


class Access:
    """Looks up artifacts and rights; every function of the service begins here."""

    def __init__(self, artifacts: Artifacts, workspaces: Workspaces) -> None:
        self.artifacts = artifacts
        self._workspaces = workspaces

    async def find(self, reference: object, context: Context) -> Artifact:
        """The artifact that a caller names, whatever the caller may do with it.

        Raises:
            InvalidAddress: the id is none. ArtifactNotFound: there is none.
        """
        parsed = (
            reference if isinstance(reference, Reference) else parse_reference(reference, context.workspace)
        )
        found = await self.artifacts.get(parsed)
        if found is None:
            raise ArtifactNotFound(f"Artifact with ID '{str(parsed)[:200]}' does not exist.")
        return found

    async def allowed(self, reference: object, context: Context, *operations: str) -> Artifact:
        """The artifact that a caller names, if it may do all of these.

        Raises:
            InvalidAddress, ArtifactNotFound. PermissionDenied: it may not.
        """
        artifact = await self.find(reference, context)
        await self.require(artifact, context, *operations)
        return artifact

    async def caller(self, context: Context, workspace: str) -> Caller:
        """The caller before artifacts of a workspace."""
        level = await self._workspaces.level_in(context.user, workspace)
        return Caller.of(context, workspace, level)

    async def require(self, artifact: Artifact, context: Context, *operations: str) -> None:
        """Raise PermissionDenied unless the caller may do all of these with the artifact."""
        caller = await self.caller(context, artifact.workspace)
        for operation in operations:
            caller.require(operation, artifact.permissions, artifact.parent_permissions)
        if operations and not set(operations) <= _READING:
            await self.check_writable(artifact.workspace, caller.is_admin)

    async def require_of_parent(self, artifact: Artifact, context: Context, operation: str) -> None:
        """Raise PermissionDenied unless the artifact's parent, if it has one, lets the caller do it."""
        if artifact.parent_id is None:
            return
        caller = await self.caller(context, artifact.workspace)
        self.check_parent(caller, artifact.parent_permissions, operation)

    @staticmethod
    def check_parent(caller: Caller, permissions: object, operation: str) -> None:
        """Raise PermissionDenied unless grants of a parent, or the workspace, give the operation."""
        least = Level.ADMIN if operation in _OF_ADMIN else Level.READ_WRITE
        by_level = caller.level >= least if operation in OF_PARENT else caller.may(operation, None)
        if not by_level and not caller.is_granted(operation, permissions):
            raise PermissionDenied(
                f"User does not have permission '{operation}' on the parent of the artifact."
            )

    async def require_draft(self, artifact: Artifact, context: Context) -> None:
        """Raise PermissionDenied unless the caller may see what is staged."""
        caller = await self.caller(context, artifact.workspace)
        if not any(caller.may(each, artifact.permissions, None) for each in FOR_DRAFTS):
            raise PermissionDenied(
                "User does not have permission 'edit' on the artifact, which is needed to see what is staged."
            )

    async def check_writable(self, workspace: str, is_admin: bool) -> WorkspaceRecord:
        """The record of a workspace in which artifacts may be changed.

        Raises:
            WorkspaceNotFound. PermissionDenied: it is read-only.
        """
        record = await self._workspaces.require(workspace)
        if record.read_only and not is_admin:
            raise PermissionDenied(f"Permission denied: the workspace {workspace} is read-only.")
        return record

    async def kept(self, workspace: str, context: Context) -> Mapping[str, Any]:
        """How much a workspace keeps and may keep, for who may read it (`Workspaces.kept`); else nothing."""
        if (await self.caller(context, workspace)).level < Level.READ:
            return {}
        return await self._workspaces.kept(workspace)

    def allowance(self, record: WorkspaceRecord, kind: str) -> Any:
        """How much more of a kind the workspace may keep."""
        return self._workspaces.allowance(record, kind)


_READING = frozenset(
    "read get_file list_files list get_vector list_vectors search_vectors get_status".split()
)


def is_staged_asked(version: object, stage: object) -> bool:
    """Whether a reader wants what is staged.

    Raises:
        NotStaged: it wants that and another version.
    """
    if stage is True and version not in (None, "stage"):
        raise NotStaged("You cannot specify a version when using stage mode.")
    return stage is True or version == "stage"
