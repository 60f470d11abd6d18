"""Callers, and how tests register services."""

from __future__ import annotations

from collections.abc import Callable

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import Context, User
from hypha.registry.records import ServiceRecord

MakeContext = Callable[..., Context]
Register = Callable[..., ServiceRecord]


def make_context(
    workspace: str = "w", client: str = "me", level: Level = Level.ADMIN, **more: Level
) -> Context:
    """A caller in a workspace with a level there; `more` gives levels elsewhere."""
    user = User(f"user-of-{workspace}", scope=Scope({workspace: level, **more}, workspace, client))
    return Context(user, workspace, client)
