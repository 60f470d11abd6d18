"""Whose an object is: a workspace may end, and another one of its name may be made by somebody else."""

from __future__ import annotations

from hypha.objects.urls import OWN
from hypha.workspaces.lifecycle import Workspaces
from hypha.workspaces.records import PERSONAL_PREFIX


class Generations:
    """Tells workspaces apart that had the same name one after the other."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    async def of(self, key: str) -> str:
        """A text for the workspace that the first word of a key names now; another one, another text.

        A personal workspace that is made again belongs to the same person.
        """
        workspace, slash, _ = key.partition("/")
        if not slash:
            return ""
        record = self._workspaces.get(workspace) or await self._workspaces.load(workspace)
        if record is None:
            return ""
        return OWN if workspace.startswith(PERSONAL_PREFIX) else f"{record.created_at!r}"
