"""Paths of files as people write them, and the keys of the objects that they stand for."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.auth.users import Context
from hypha.errors import InvalidRequest, PermissionDenied
from hypha.objects.keys import check_key, check_prefix

ARTIFACTS = "artifacts"
"""The folder of a workspace that the artifact manager keeps, with rights of its own."""


@dataclass(frozen=True, slots=True)
class FilePath:
    """A path in the caller's workspace, or below the root of the bucket (`is_root`)."""

    key: str
    shown: str
    is_root: bool = False


def path_of(path: object, context: Context) -> FilePath:
    """The file that a path names: in the caller's workspace, with a leading `/` below the bucket's root.

    Raises:
        InvalidKey: it climbs or is malformed. PermissionDenied: it isn't the caller's.
    """
    lead, rest, is_root = _start(path, context)
    check_key(rest)
    return FilePath(check_key(lead + rest), str(path), is_root)


def folder_of(path: object, context: Context) -> FilePath:
    """The same for a folder, with or without `/` at its end; empty for all files. Its key ends in `/`."""
    lead, rest, is_root = _start(path, context)
    prefix = check_prefix(rest) and check_prefix(rest).removesuffix("/") + "/"
    return FilePath(lead + prefix, str(path), is_root)


def _start(path: object, context: Context) -> tuple[str, str, bool]:
    if not isinstance(path, str):
        raise InvalidRequest("The path of a file is a text.")
    if path.startswith("/"):
        if not context.user.is_admin:
            raise PermissionDenied(
                "Permission denied: a path with a leading '/' begins at the root of all workspaces. Write it "
                "without, for files of your own workspace."
            )
        return "", path[1:], True
    if path.partition("/")[0] == ARTIFACTS:
        raise PermissionDenied(
            f"Permission denied: the folder {ARTIFACTS} is kept by the artifact manager. Use its functions."
        )
    return f"{context.workspace}/", path, False
