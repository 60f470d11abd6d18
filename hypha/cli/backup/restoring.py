"""Restoring a snapshot into an empty server."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from hypha.cli.backup import records
from hypha.cli.backup.repository import BLOCK_BYTES, FOLDER, RECORDS, Entry, Repository, Snapshot
from hypha.cli.backup.taking import TOGETHER, Told, open_store
from hypha.cli.surroundings import folder_of
from hypha.datafolder import DataFolder
from hypha.errors import ConfigurationError, ObjectNotFound
from hypha.objects.store import ObjectStore
from hypha.settings import Settings


async def restore(settings: Settings, repository: Repository, snapshot: Snapshot, told: Told) -> None:
    """Fill an empty data folder, database and store of files.

    Until it is done no server starts on the folder; one that was killed is finished by doing it again.

    Raises:
        ConfigurationError: the snapshot is damaged, or something is not empty or cannot be written.
    """
    folder = folder_of(settings)
    if folder is None:
        raise ConfigurationError(
            "A server that keeps nothing cannot be restored: leave out --data-dir :memory:."
        )
    damaged = await asyncio.to_thread(repository.damaged, snapshot)
    if damaged:
        raise ConfigurationError(f"The snapshot is damaged, nothing was restored: {', '.join(damaged[:5])}")
    data = DataFolder.open(settings.data_dir, "a restore", restoring=snapshot.name)
    try:
        _copy_folder(snapshot, folder)
        await _restore_objects(settings, repository, snapshot)
        place = records.place_of(settings, folder)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            copy = Path(scratch) / RECORDS
            await asyncio.to_thread(shutil.copyfile, snapshot.folder / RECORDS, copy)
            is_own = isinstance(place, Path) and place.parent == folder
            await records.put_in(copy, place, replaces=is_own)
        data.restored()
    finally:
        data.close()
    told(f"Restored {snapshot.name} into {folder}. Start the server with the same settings.")


def _copy_folder(snapshot: Snapshot, target: Path) -> None:
    """Secrets and identity: what was checked, and nothing beside it."""
    for name in snapshot.files():
        if name.startswith(f"{FOLDER}/"):
            place = target / name.removeprefix(f"{FOLDER}/")
            place.parent.mkdir(mode=0o700, exist_ok=True)
            place.unlink(missing_ok=True)
            shutil.copyfile(snapshot.folder / name, place)
            place.chmod(0o600)


async def _restore_objects(settings: Settings, repository: Repository, snapshot: Snapshot) -> None:
    store = await open_store(settings, looks_on=False)
    try:
        some: list[Entry] = []
        for entry in snapshot.entries():
            if store is None:
                raise ConfigurationError(
                    "The snapshot has files, and this server has no feature that keeps them."
                )
            some.append(entry)
            if len(some) == TOGETHER:
                await asyncio.gather(*(_put(store, repository, each) for each in some))
                some.clear()
        if store is not None:
            await asyncio.gather(*(_put(store, repository, each) for each in some))
    finally:
        if store is not None:
            await store.close()


async def _put(store: ObjectStore, repository: Repository, entry: Entry) -> None:
    try:
        there = await store.head(entry.key)
    except ObjectNotFound:
        pass
    else:
        if there.sha256 == entry.sha256:  # of a restore that was killed
            return
    await store.put(
        entry.key, _blocks(repository.blob(entry.sha256)), content_type=entry.content_type,
        metadata=entry.metadata, sha256=entry.sha256,
    )  # fmt: skip


async def _blocks(file: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(file.open, "rb") as opened:
        while block := await asyncio.to_thread(opened.read, BLOCK_BYTES):
            yield block
