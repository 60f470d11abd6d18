"""Paths of files in an artifact, joined, and split as tables keep them; `hypha.objects.paths` checks them."""

from __future__ import annotations


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
