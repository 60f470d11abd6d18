"""What all functions of the artifact manager share: their parts, and the look-ups that come first."""

from __future__ import annotations

import mimetypes

from hypha.auth.users import Context
from hypha.features.artifacts.artifact import Artifact
from hypha.features.artifacts.committing import Committing
from hypha.features.artifacts.files import FileView
from hypha.features.artifacts.parts import Parts
from hypha.features.artifacts.staging import Staging
from hypha.objects.store import DEFAULT_TYPE

ON_ARTIFACT = "artifact"


class Functions:
    """Base of the groups of functions."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.view = FileView(parts)
        self.staging = Staging(parts)
        self.committing = Committing(parts)

    async def readable(
        self, reference: object, context: Context, operation: str, *, staged: bool
    ) -> Artifact:
        """The artifact that a caller names, if it may read it so; what is staged only who may change it.

        Raises:
            InvalidAddress, ArtifactNotFound, PermissionDenied.
        """
        artifact = await self.parts.access.allowed(reference, context, operation)
        if staged:
            await self.parts.access.require_draft(artifact, context)
        return artifact

    @staticmethod
    def type_of(path: str) -> str:
        """The content type that a file has by its name."""
        return mimetypes.guess_type(path)[0] or DEFAULT_TYPE
