"""Paths of files in an artifact: checked once, before anything is joined, and split as tables keep them."""

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


def rooted(path: object) -> object:
    """A path of a folder as `hypha-artifact` writes it, with `/` for the artifact itself, without that."""
    return path[1:] if isinstance(path, str) and path.startswith("/") and not path.startswith("//") else path


def split(path: str) -> tuple[str, str]:
    """Folder and name of a checked path."""
    folder, _, name = path.rpartition("/")
    return folder, name


def joined(folder: str, name: str) -> str:
    """The path of a name in a folder."""
    return f"{folder}/{name}" if folder else name
