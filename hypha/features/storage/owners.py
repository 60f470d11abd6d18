"""Whose folder it is: that of this workspace, or of one of the same name that left files in a crash."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

from hypha.limits import BoundedMap
from hypha.objects.local import LocalObjects

logger = logging.getLogger(__name__)

KNOWN = 10_000
NOTES, LEFT = ".owners", ".left"
OWN = "own"
"""The generation of personal workspaces, which nobody but their person can make again."""


class Owners:
    """Notes the generation of the workspace that a folder belongs to, in a file beside the folders.

    A workspace whose folder was noted for another one finds it empty: what was there is set aside for the
    operator. Folders that nobody has noted, such as those of a backup, belong to whoever comes first.

    Args:
        generation_of: see `Generations.of`.
    """

    def __init__(
        self, store: LocalObjects, root: Path, generation_of: Callable[[str], Awaitable[str]]
    ) -> None:
        self._store = store
        self._notes, self._left = root / NOTES, root / LEFT
        self._generation_of = generation_of
        self._known: BoundedMap[str, str] = BoundedMap(KNOWN)
        self._turn = asyncio.Lock()

    async def claim(self, workspace: str) -> None:
        """Make sure that what lies in the folder of a workspace is its own."""
        generation = await self._generation_of(f"{workspace}/")
        if generation in ("", OWN) or self._known.get(workspace) == generation:
            return
        async with self._turn:
            await self._claim(workspace, generation)
            self._known.put(workspace, generation)

    async def _claim(self, workspace: str, generation: str) -> None:
        note = self._notes / workspace
        noted = await asyncio.to_thread(_read, note)
        if noted not in ("", generation):
            left = self._left / f"{workspace}.{secrets.token_hex(6)}"
            if await self._store.set_aside(workspace, left):
                logger.warning("Files of an earlier workspace %s were set aside in %s", workspace, left)
        if noted != generation:
            await asyncio.to_thread(_write, note, generation)

    async def ended(self, workspace: str) -> None:
        """A workspace has ended; if its files could not be deleted, they stay noted as its own."""
        self._known.pop(workspace)
        if not await asyncio.to_thread((self._store.folder / workspace).exists):
            await asyncio.to_thread((self._notes / workspace).unlink, missing_ok=True)


def _read(note: Path) -> str:
    try:
        return note.read_text()
    except FileNotFoundError:
        return ""


def _write(note: Path, text: str) -> None:
    note.parent.mkdir(mode=0o700, exist_ok=True)
    temporary = note.with_name(f"{note.name}~")
    with open(temporary, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, note)
