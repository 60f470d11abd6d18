"""Paths of files below a key of its own, as people name them: checked once, before anything is joined."""

from __future__ import annotations

from hypha.errors import InvalidKey
from hypha.objects.keys import check_key

MAX_PATH_BYTES = 700
"""Workspace, artifact and version stand before it in the keys of the store, which end at 1024."""


def check_path(path: object) -> str:
    """The path of a file in an artifact; a leading `./` is left out.

    Raises:
        InvalidKey: it is empty, absolute, climbs, has backslashes or control characters, or is too long.
    """
    text = path.removeprefix("./") if isinstance(path, str) else path
    checked = check_key(text)
    if len(checked.encode()) > MAX_PATH_BYTES:
        raise InvalidKey(f"The path of a file has at most {MAX_PATH_BYTES} bytes.")
    return checked


def check_folder(path: object) -> str:
    """The path of a folder in an artifact, without `/` at its end; empty for the artifact itself.

    Raises:
        InvalidKey: as `check_path`.
    """
    if path is None or path in ("", ".", "./", "/"):
        return ""
    return check_path(path.removesuffix("/") if isinstance(path, str) else path)
