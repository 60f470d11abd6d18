"""Whose folder it is: that of this workspace, or of one of the same name that left files in a crash."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from hypha.features.storage.backing import Folders
from hypha.limits import BoundedMap
from hypha.locks import NamedLocks
from hypha.objects.urls import OWN

logger = logging.getLogger(__name__)

KNOWN = 10_000


async def _nothing_ended(workspace: str) -> None:
    """Where nothing is noted of workspaces that have ended."""


class Owners:
    """Notes the generation of the workspace that a folder belongs to.

    A workspace whose folder was noted for another one finds it empty: what was there is set aside for the
    operator. Folders that nobody has noted, such as those of a backup, belong to whoever comes first.

    Args:
        generation_of: see `Generations.of`.
        finish_ended: deletes what is known to be of a workspace that has ended; see `EndedFolders.finish`.
    """

    def __init__(
        self,
        folders: Folders,
        generation_of: Callable[[str], Awaitable[str]],
        finish_ended: Callable[[str], Awaitable[None]] = _nothing_ended,
    ) -> None:
        self._folders = folders
        self._generation_of = generation_of
        self._finish_ended = finish_ended
        self._known: BoundedMap[str, str] = BoundedMap(KNOWN)
        self._locks = NamedLocks()

    async def claim(self, workspace: str) -> None:
        """Make sure that what lies in the folder of a workspace is its own."""
        generation = await self._generation_of(f"{workspace}/")
        if not generation or self._known.get(workspace) == generation:
            return
        async with self._locks.held(workspace):
            if self._known.get(workspace) != generation:
                await self._finish_ended(workspace)
                if generation != OWN:
                    await self._claim(workspace, generation)
                self._known.put(workspace, generation)

    async def _claim(self, workspace: str, generation: str) -> None:
        noted = await self._folders.noted(workspace)
        if noted not in ("", generation):
            left = await self._folders.set_aside(workspace)
            if left:
                logger.warning("Files of an earlier workspace %s were set aside in %s", workspace, left)
        if noted != generation:
            await self._folders.note(workspace, generation)

    async def ended(self, workspace: str) -> None:
        """A workspace has ended; if its files could not be deleted, they stay noted as its own."""
        self._known.pop(workspace)
        await self._folders.ended(workspace)
