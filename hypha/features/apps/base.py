"""What the functions of the app controller share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hypha.errors import InvalidRequest, PermissionDenied
from hypha.features.apps.manifests import check_app_id

if TYPE_CHECKING:
    from hypha.auth.scopes import Level
    from hypha.auth.users import Context
    from hypha.features.apps.artifacts import AppArtifacts
    from hypha.features.apps.daemons import Daemons
    from hypha.features.apps.fetching import SourceFetcher
    from hypha.features.apps.installing import Installing
    from hypha.features.apps.records import AppRecords
    from hypha.features.apps.running import Running
    from hypha.features.apps.scaler import Scaler
    from hypha.features.apps.starting import Starting
    from hypha.features.apps.workers import Workers
    from hypha.features.ports import ServicesPort
    from hypha.workspaces.lifecycle import Workspaces

ANSWER_BYTES = 1024 * 1024
"""Of a manifest, or a few sessions."""
LIST_BYTES, LOG_BYTES = 4 * 1024 * 1024, 3 * 1024 * 1024
MAX_TEXT_CHARS = 600


@dataclass(frozen=True, slots=True)
class Parts:
    """What the functions work with."""

    services: ServicesPort
    workspaces: Workspaces
    artifacts: AppArtifacts
    records: AppRecords
    workers: Workers
    starting: Starting
    running: Running
    installing: Installing
    daemons: Daemons
    scaler: Scaler
    fetcher: SourceFetcher


class Functions:
    """Base of the groups of functions."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    async def place(self, workspace: str | None, context: Context, level: Level) -> Context:
        """The caller in a workspace where it has a level; its current one if none is named.

        Raises:
            PermissionDenied: it hasn't, or there is no such workspace.
        """
        if workspace in (None, context.workspace):
            context.require(level)
            return context
        has = await self.parts.workspaces.level_in(context.user, workspace) if _is_short(workspace) else None
        if has is None or has < level:
            raise PermissionDenied(f"Permission denied for workspace {str(workspace)[:200]}")
        return replace(context, workspace=workspace, user=context.user.within(workspace, None, has))

    @staticmethod
    def app(app_id: object) -> str:
        """The id of an app.

        Raises:
            InvalidRequest: it is none.
        """
        found = check_app_id(app_id)
        if found is None:
            raise InvalidRequest("app_id is the id of an app: see list_apps.")
        return found


def checked_text(value: object, what: str) -> str | None:
    """A short text, or nothing.

    Raises:
        InvalidRequest: it is something else.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT_CHARS:
        raise InvalidRequest(f"{what} is a text of up to {MAX_TEXT_CHARS} characters.")
    return value


def _is_short(workspace: object) -> bool:
    return isinstance(workspace, str) and 0 < len(workspace) <= MAX_TEXT_CHARS
