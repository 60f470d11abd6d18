"""Small functions that startup files import."""

from __future__ import annotations

from hypha import ids

__all__ = ["random_id"]


def random_id(readable: bool = False) -> str:
    """An unguessable id; with `readable` one that can be read aloud and is no secret."""
    return ids.readable_id() if readable else ids.random_id()
