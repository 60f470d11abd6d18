"""An artifact as the rest of the feature sees it: plain values, no SQL, no rights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hypha.errors import AlreadyExists, InvalidAddress, InvalidRequest, NotFound
from hypha.features.artifacts.permissions import as_grants, expanded
from hypha.objects.homes import folder_at

NEW_VERSION = "new_version"
EDIT_VERSION = "edit_version"
MAX_VERSION_CHARS = 128
RESERVED_VERSIONS = frozenset({"latest", "stage", "new", ""})

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class NotStaged(InvalidAddress):
    """The artifact has to be staged for that, or is asked for in a state that contradicts itself."""

    code = "not_staged"


class UnknownVersion(NotFound):
    """The artifact has no such version."""

    code, rpc_name = "not_found", "ValueError"


class VersionExists(AlreadyExists):
    """The artifact has a version of that name."""

    code, rpc_name = "already_exists", "ValueError"


class FileNotFound(NotFound):
    """The artifact has no such file."""

    code, rpc_name = "not_found", "FileNotFoundError"


def check_version_name(name: object) -> str:
    """A name that a version may have.

    Raises:
        InvalidRequest: it is empty, too long, reserved, or has control characters.
    """
    is_text = isinstance(name, str) and len(name) <= MAX_VERSION_CHARS and not _CONTROL.search(name)
    if not is_text or name in RESERVED_VERSIONS:
        raise InvalidRequest(
            f"Invalid version {str(name)[:100]!r}: a name has 1 to {MAX_VERSION_CHARS} characters, and is "
            "not 'new', 'stage' or 'latest'."
        )
    return str(name)


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an artifact; `number` names its folder and is never given again."""

    number: int
    name: str
    comment: str | None
    created_at: int
    edits: int = 0
    file_count: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact as committed, what is staged of it, and what its parent says.

    `staged` holds the fields (`manifest`, `config`, `type`) that the next commit brings. `home` is the
    storage in which its files lie, None for the server's own.
    """

    id: str
    workspace: str
    alias: str
    type: str
    manifest: Any
    config: Mapping[str, Any]
    created_by: str
    created_at: int
    last_modified: int
    parent_id: str | None = None
    parent_alias: str | None = None
    parent_config: Mapping[str, Any] = field(default_factory=dict)
    intent: str | None = None
    round: str | None = None
    staged: Mapping[str, Any] = field(default_factory=dict)
    staged_files: int = 0
    change: int = 0
    next_version: int = 0
    versions: tuple[Version, ...] = ()
    download_count: float = 0.0
    view_count: float = 0.0
    file_count: int = 0
    size: int = 0
    home: str | None = None

    @property
    def full_id(self) -> str:
        """`workspace/alias`."""
        return f"{self.workspace}/{self.alias}"

    @property
    def is_committed(self) -> bool:
        """Whether it has a version; else it is a draft."""
        return bool(self.versions)

    @property
    def is_staged(self) -> bool:
        """Whether something is to be committed."""
        return self.intent is not None

    @property
    def latest(self) -> Version | None:
        """The version that readers get."""
        return self.versions[-1] if self.versions else None

    @property
    def revision(self) -> str:
        """What readers get, as a word that no other commit has; empty for a draft."""
        latest = self.latest
        return "" if latest is None else f"{latest.number}.{latest.edits}"

    @property
    def edited(self) -> Version | None:
        """The version that the next commit changes in place; None if it makes a new one."""
        return self.latest if self.intent == EDIT_VERSION else None

    @property
    def permissions(self) -> Mapping[str, Any]:
        """Its own grants, as committed."""
        return as_grants(self.config.get("permissions"))

    @property
    def parent_permissions(self) -> Mapping[str, Any] | None:
        """Those of its parent."""
        return None if self.parent_id is None else as_grants(self.parent_config.get("permissions"))

    @property
    def folder(self) -> str:
        """Where its files lie in the object store."""
        return f"{folder_at(self.workspace, self.home)}/{self.id}"

    def stage_key(self, path: str) -> str:
        """The key of a file that is uploaded for the next commit."""
        return f"{self.folder}/stage/{self.round}/{path}"

    def as_staged(self) -> Artifact:
        """What it would be with the staged fields."""
        return replace(self, **self.staged) if self.staged else self

    def version(self, wanted: object) -> Version:
        """The version of a name or index; None and `latest` are the newest.

        Raises:
            UnknownVersion: there is none.
        """
        if wanted is None or wanted == "latest":
            if self.latest is not None:
                return self.latest
        elif isinstance(wanted, str):
            for version in self.versions:
                if version.name == wanted:
                    return version
        elif isinstance(wanted, int) and not isinstance(wanted, bool) and 0 <= wanted < len(self.versions):
            return self.versions[wanted]
        shown = str(wanted)[:100]
        raise UnknownVersion(f"Artifact version '{shown}' does not exist.")

    def free_version(self, name: str | None) -> str:
        """The name of the version that comes next.

        Raises:
            VersionExists: it is taken. InvalidRequest: it is none.
        """
        taken = {version.name for version in self.versions}
        if name is None or name == "new":
            number = len(self.versions)
            while f"v{number}" in taken:
                number += 1
            return f"v{number}"
        check_version_name(name)
        if name in taken:
            raise VersionExists(f"Version '{name}' already exists: choose another name.")
        return name

    def shown(self, *, staged_files: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        """The artifact as callers get it.

        Args:
            staged_files: what is staged of its files; None hides that it is staged.
        """
        staging = None
        if staged_files is not None and self.is_staged:
            staging = [*staged_files, {"_intent": self.intent}]
        return {
            "id": self.full_id,
            "_id": self.id,
            "type": self.type,
            "workspace": self.workspace,
            "alias": self.alias,
            "parent_id": f"{self.workspace}/{self.parent_alias}" if self.parent_alias else None,
            "manifest": self.manifest,
            "config": dict(self.config),
            "staging": staging,
            "download_count": self.download_count,
            "view_count": self.view_count,
            "file_count": self.file_count,
            "created_at": self.created_at,
            "last_modified": self.last_modified,
            "created_by": self.created_by,
            "versions": [
                {"version": each.name, "comment": each.comment, "created_at": each.created_at}
                for each in self.versions
            ],
            "revision": self.revision,
            "_permissions": expanded(self.permissions),
        }
