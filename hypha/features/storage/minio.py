"""What becomes of `--start-minio-server`: the embedded store takes the place of a MinIO server."""

from __future__ import annotations

import shutil
from pathlib import Path

from hypha.errors import ConfigurationError
from hypha.filelock import FileLock, InUse

PROGRAM = "minio"


def find_minio(where: str) -> str | None:
    """The `minio` executable at a path, in a folder, or on the `PATH`; None if there is none."""
    given = Path(where).expanduser()
    for folder in (given.parent if given.is_file() else given, None):
        found = shutil.which(PROGRAM, path=None if folder is None else str(folder))
        if found is not None:
            return found
    return None


def without_minio(where: str) -> str:
    """The one line that says what is used instead."""
    found = find_minio(where)
    why = f"{found} is not run by this version" if found else f"no minio executable was found (in {where})"
    return f"--start-minio-server: {why}; files are kept in the embedded store, with the same functions."


def lock_folder(folder: Path, url: str) -> FileLock:
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
