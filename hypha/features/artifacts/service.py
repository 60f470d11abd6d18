"""The service `public/artifact-manager`: all its functions, group by group."""

from __future__ import annotations

from hypha.builtins.service import BuiltinService
from hypha.features.artifacts.functions_contents import ContentFunctions
from hypha.features.artifacts.functions_integrity import IntegrityFunctions
from hypha.features.artifacts.functions_lists import ListFunctions
from hypha.features.artifacts.functions_tree import TreeFunctions

FUNCTIONS = (
    "create", "reset_stats", "edit", "read", "commit", "discard", "delete", "duplicate",
    "put_file", "put_file_start_multipart", "put_file_complete_multipart", "remove_file", "get_file",
    "read_file", "write_file", "list", "search", "list_files",
    "get_secret", "set_secret", "set_parent", "set_download_weight",
    "get_status", "discard_changes",
    "list_contents", "reuse_files", "put_file_resume_multipart", "verify",
)  # fmt: skip


class ArtifactManager(TreeFunctions, ContentFunctions, IntegrityFunctions, ListFunctions):
    """Artifacts: manifests with versions and files, in collections.

    An artifact is created, filled while it is staged, and committed; readers see each commit whole. Files go
    by HTTP to and from the addresses that `put_file` and `get_file` give.
    """

    def service(self) -> BuiltinService:
        """The service as callers find it."""
        config = {"visibility": "public", "require_context": True}
        return BuiltinService.of(
            self, id="artifact-manager", name="Artifact Manager", config=config, only=FUNCTIONS
        )
