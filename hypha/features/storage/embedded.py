"""The embedded store as what keeps the files: in the data folder, or in one of its own."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypha.errors import ConfigurationError
from hypha.features.storage.backing import Backing
from hypha.features.storage.folders import LocalFolders
from hypha.features.storage.options import StorageOptions
from hypha.filelock import FileLock, InUse
from hypha.objects.local import LocalObjects
from hypha.objects.local.urls import LocalUrls

FOLDER = "objects"
"""Of all files, in the data folder."""


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of all files, and what is to be given back at the end."""

    root: Path
    lock: FileLock | None = None
    temporary: str | None = None

    def leave(self) -> None:
        """Give it back."""
        if self.temporary is not None:
            shutil.rmtree(self.temporary, ignore_errors=True)
        if self.lock is not None:
            self.lock.close()


def place_of(options: StorageOptions, data_folder: Path | None, url: str) -> Place:
    """Where files go: in the data folder, else where they are deleted at the end.

    Raises:
        ConfigurationError: see `locked_folder`.
    """
    if options.start_minio_server and options.minio_file_system_mode and options.minio_workdir:
        folder = Path(options.minio_workdir)
        return Place(folder, lock=locked_folder(folder, url))
    if data_folder is None:
        temporary = tempfile.mkdtemp(prefix="hypha-objects-")
        return Place(Path(temporary) / FOLDER, temporary=temporary)
    return Place(data_folder / FOLDER)


async def open_embedded(
    options: StorageOptions, data_folder: Path | None, own: LocalUrls, base_url: str, bucket_url: str
) -> Backing:
    """Open the embedded store.

    Raises:
        ConfigurationError: its folder cannot be used.
    """
    place = place_of(options, data_folder, base_url)
    try:
        store = await LocalObjects.open_at(place.root, options.workspace_bucket)
    except BaseException:
        place.leave()
        raise
    store.room.disk.least_free_bytes = options.least_free_disk_bytes

    async def close() -> None:
        await store.close()
        await asyncio.to_thread(place.leave)

    return Backing(store, store.room, LocalFolders(store, place.root), own, bucket_url, close)


def locked_folder(folder: Path, url: str) -> FileLock:
    """Keep a folder for this server alone.

    Raises:
        ConfigurationError: another one uses it, or it cannot be written.
    """
    if not folder.is_absolute():
        raise ConfigurationError("--minio-workdir takes an absolute path.")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return FileLock.take(folder / ".lock", url)
    except InUse as taken:
        raise ConfigurationError(
            f"The folder of --minio-workdir is in use: {taken.holder} runs with it."
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"The folder of --minio-workdir cannot be used: {(error.strerror or 'unknown').lower()}."
        ) from None
