"""Notes to whom the folders of workspaces belong: files beside the embedded store, objects in any other."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

from hypha.errors import InvalidKey, ObjectNotFound
from hypha.features.storage.paths import ARTIFACTS
from hypha.objects.keys import check_key
from hypha.objects.local import LocalObjects
from hypha.objects.store import ObjectStore

NOTES, LEFT = ".owners", ".left"
LONG = ".long"
"""In a folder that was set aside: what has a name too long for there."""
NOTE_BYTES = 1000
TOGETHER = 16


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
        return str(left) if await self._store.set_aside(workspace, left, spare=ARTIFACTS) else ""


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
        """See `Folders`; objects are copied, then deleted."""
        left, folder, after, rest = f"{LEFT}/{workspace}.{secrets.token_hex(6)}", f"{workspace}/", "", True
        is_there = False
        while rest:
            page = await self._store.list(folder, after=after)
            after, rest = page.objects[-1].key if page.objects else "", page.rest and bool(page.objects)
            keys = [info.key for info in page.objects if not info.key.startswith(f"{folder}{ARTIFACTS}/")]
            is_there = is_there or bool(keys)
            await self._store.copy_many([(key, await self._place_in(left, key)) for key in keys])
            for some in (keys[at : at + TOGETHER] for at in range(0, len(keys), TOGETHER)):
                await asyncio.gather(*(self._store.delete(key) for key in some))
        return left if is_there else ""

    async def _place_in(self, left: str, key: str) -> str:
        """Where an object goes; one whose key would be too long there under a short one, with its name."""
        try:
            return check_key(f"{left}/{key.partition('/')[2]}")
        except InvalidKey:
            short = f"{left}/{LONG}/{secrets.token_hex(12)}"
            await self._store.put(f"{short}.name", key.encode(), content_type="text/plain")
            return short


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
