"""Routes below the name of any workspace, which leave the server's own paths and mounts alone."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.routing import Match, Route
from starlette.types import Scope

from hypha.auth.users import Context
from hypha.errors import WorkspaceNotFound
from hypha.web.credentials import Credentials
from hypha.workspaces.lifecycle import Workspaces


class WorkspaceRoute(Route):
    """A route `/{workspace}/…` that does not match where the first word is that of a literal route.

    So a mount of the operator, such as `/tools`, keeps its `/tools/files/…`.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See `Route`."""
        match, child = super().matches(scope)
        if match is not Match.NONE and child["path_params"]["workspace"] in scope["app"].words:
            return Match.NONE, {}
        return match, child


async def context_in(
    credentials: Credentials, workspaces: Workspaces, scope: MutableMapping[str, Any], workspace: str
) -> Context:
    """On whose behalf a request acts in the workspace of its address, and in no other.

    What the caller may do there is for who asks to check (`Context.require`).

    Raises:
        NotAuthenticated: the credential is not valid. WorkspaceNotFound: there is no such workspace.
    """
    user = await credentials.user(scope)
    if (
        workspaces.get(workspace) is None
        and workspace == user.own_workspace
        and user is not credentials.anonymous
    ):
        await workspaces.open(workspace, user)
    if await workspaces.load(workspace) is None:
        raise WorkspaceNotFound(f"Workspace not found: {workspace[:200]}")
    level = await workspaces.level_in(user, workspace)
    return Context(user.within(workspace, None, level), workspace, connection_type="http")
