"""Notes to whom the folders of workspaces belong: files beside the embedded store, objects in any other."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

from hypha.errors import ObjectNotFound
from hypha.objects.local import LocalObjects
from hypha.objects.store import ObjectStore

NOTES, LEFT = ".owners", ".left"
NOTE_BYTES = 1000


class LocalFolders:
    """See `Folders`; `root` is the folder in which the store lies."""

    def __init__(self, store: LocalObjects, root: Path) -> None:
        self._store = store
        self._notes, self._left = root / NOTES, root / LEFT

    async def noted(self, workspace: str) -> str:
        """See `Folders`."""
        return await asyncio.to_thread(_read, self._notes / workspace)

    async def note(self, workspace: str, generation: str) -> None:
        """See `Folders`."""
        await asyncio.to_thread(_write, self._notes / workspace, generation)

    async def ended(self, workspace: str) -> None:
        """See `Folders`."""
        if not await asyncio.to_thread((self._store.folder / workspace).exists):
            await asyncio.to_thread((self._notes / workspace).unlink, missing_ok=True)

    async def set_aside(self, workspace: str) -> str:
        """See `Folders`."""
        left = self._left / f"{workspace}.{secrets.token_hex(6)}"
        return str(left) if await self._store.set_aside(workspace, left) else ""


class StoredFolders:
    """See `Folders`; the notes are objects of the store itself."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def noted(self, workspace: str) -> str:
        """See `Folders`."""
        try:
            reading = await self._store.open(f"{NOTES}/{workspace}", 0, NOTE_BYTES)
        except ObjectNotFound:
            return ""
        try:
            return (await reading.whole()).decode("utf-8", "replace")
        finally:
            await reading.close()

    async def note(self, workspace: str, generation: str) -> None:
        """See `Folders`."""
        await self._store.put(f"{NOTES}/{workspace}", generation.encode(), content_type="text/plain")

    async def ended(self, workspace: str) -> None:
        """See `Folders`."""
        if not (await self._store.list(f"{workspace}/", limit=1)).objects:
            await self._store.delete(f"{NOTES}/{workspace}")

    async def set_aside(self, workspace: str) -> str:
        """See `Folders`; each object is copied, then deleted."""
        left, is_there, rest = f"{LEFT}/{workspace}.{secrets.token_hex(6)}", False, True
        while rest:
            page = await self._store.list(f"{workspace}/")
            for info in page.objects:
                await self._store.copy(info.key, f"{left}/{info.key.removeprefix(f'{workspace}/')}")
                await self._store.delete(info.key)
            is_there, rest = is_there or bool(page.objects), page.rest and bool(page.objects)
        return left if is_there else ""


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
