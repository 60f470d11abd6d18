"""The store of files beside the server: for backups, which a server that runs does not notice."""

from __future__ import annotations

from pathlib import Path

from hypha.errors import BackendUnavailable, ConfigurationError
from hypha.features.storage.embedded import FOLDER
from hypha.features.storage.options import StorageOptions
from hypha.features.storage.remote import MISSING, endpoint_of
from hypha.objects.local.store import LocalObjects
from hypha.objects.store import ObjectStore

_OWN_MINIO = (
    "The files are in a MinIO server that this server starts: while it runs, name it with --endpoint-url, "
    "--access-key-id and --secret-access-key in place of --start-minio-server."
)


async def open_aside(options: StorageOptions, folder: Path | None, *, looks_on: bool) -> ObjectStore:
    """Open the store of a server with these options; see `Feature.open_objects`.

    Raises:
        ConfigurationError: it cannot be used.
    """
    if options.start_minio_server:
        raise ConfigurationError(_OWN_MINIO)
    if options.endpoint_url:
        return await _open_remote(options, looks_on=looks_on)
    if folder is None:
        raise ConfigurationError("A server that keeps nothing has no files to be backed up.")
    try:
        return LocalObjects(folder / FOLDER, options.workspace_bucket, looks_on=looks_on)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigurationError(f"The files in {folder} cannot be used ({reason}).") from None


async def _open_remote(options: StorageOptions, *, looks_on: bool) -> ObjectStore:
    try:
        from hypha.objects.s3.store import S3Objects
    except ImportError:
        raise ConfigurationError(MISSING) from None
    store = S3Objects(endpoint_of(options))
    try:
        await (store.start_as_guest("") if looks_on else store.start(takes_cors=False))
    except BackendUnavailable as error:
        raise ConfigurationError(f"--endpoint-url: {error.message}") from None
    return store
