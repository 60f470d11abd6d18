"""Tokens made from tokens, without a server."""

from __future__ import annotations

from typing import Any

from hypha.auth.minting import TokenRequest, child_of
from hypha.auth.scopes import Level, Scope
from hypha.auth.users import Context, User

OWNER = User("owner", ("editor",), email="o@x.org", scope=Scope({"lab": Level.ADMIN}, "lab"))


def mint(
    user: User, config: dict[str, Any], workspace: str = "lab", parent_level: Level = Level.NONE
) -> User:
    """Mint as `user` in `workspace`, with the levels that its scope gives."""
    request = TokenRequest.parse(config)
    level = user.level(request.workspace or workspace)
    return child_of(Context(user, workspace), request, level, parent_level)
