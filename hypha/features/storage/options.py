"""Where the files of workspaces are kept."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.errors import ConfigurationError, InvalidKey
from hypha.objects.keys import check_bucket
from hypha.options import FeatureOptions, flag, variable

MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True, kw_only=True, repr=False)
class StorageOptions(FeatureOptions):
    """Files of workspaces."""

    enable_s3: bool = flag(False, "Accepted for older start scripts: files can always be kept")
    enable_s3_proxy: bool = flag(
        False, "Accepted for older start scripts: signed addresses always lead to this server"
    )
    s3_cleanup_period: float = flag(300, "Pause between two looks for files whose time is over", unit="s")
    workspace_bucket: str = flag("hypha-workspaces", "Name of the folder, and in addresses, of all files")

    endpoint_url: str | None = flag(None, "S3 endpoint", feature="storage on S3")
    endpoint_url_public: str | None = flag(None, "S3 endpoint as others see it", feature="storage on S3")
    access_key_id: str | None = flag(None, "S3 access key", feature="storage on S3", secret=True)
    secret_access_key: str | None = flag(None, "S3 secret key", feature="storage on S3", secret=True)
    region_name: str = flag("us-east-1", "S3 region", feature="storage on S3")
    s3_admin_type: str = flag(
        "generic", "Kind of S3 server", choices=("generic", "minio"), feature="storage on S3"
    )
    s3_disable_proxy: bool = variable(
        True, "Ignore proxy variables for S3", "HYPHA_S3_DISABLE_PROXY", feature="storage on S3"
    )

    start_minio_server: bool = flag(
        False, "Accepted for older start scripts: files are kept in the embedded store"
    )
    minio_workdir: str | None = flag(None, "Folder of all files with --minio-file-system-mode")
    minio_port: int = flag(9000, "Port of the built-in MinIO", feature="the built-in MinIO")
    minio_console_port: int | None = flag(
        None, "Port of its console; port + 1 when absent", feature="the built-in MinIO"
    )
    minio_root_user: str = flag("minioadmin", "Its user", feature="the built-in MinIO")
    minio_root_password: str = flag("minioadmin", "Its password", feature="the built-in MinIO", secret=True)
    minio_version: str | None = flag(None, "Its release", feature="the built-in MinIO")
    mc_version: str | None = flag(None, "Release of its client", feature="the built-in MinIO")
    minio_file_system_mode: bool = flag(
        False, "With --start-minio-server and --minio-workdir: keep all files as plain files in that folder"
    )

    max_files_per_workspace: int = variable(
        10_000_000, "Files of one workspace, those of artifacts included", "HYPHA_MAX_FILES_PER_WORKSPACE"
    )
    max_file_bytes_per_workspace: int = variable(
        1024 * GIB, "The same in bytes", "HYPHA_MAX_FILE_BYTES_PER_WORKSPACE", unit="bytes"
    )
    least_free_disk_bytes: int = variable(
        256 * MIB,
        "What uploads leave free of the disk, so that the rest of the server goes on",
        "HYPHA_LEAST_FREE_DISK_BYTES",
        unit="bytes",
    )

    def check(self) -> None:
        """Refuse what cannot be the name of a bucket."""
        try:
            check_bucket(self.workspace_bucket)
        except InvalidKey as error:
            raise ConfigurationError(f"--workspace-bucket: {error.message}") from None
        if self.s3_cleanup_period <= 0:
            raise ConfigurationError("--s3-cleanup-period is a number of seconds above 0.")
        if self.start_minio_server:
            self._check_own_server()

    def _check_own_server(self) -> None:
        taken = [n for n in ("endpoint_url", "access_key_id", "secret_access_key") if getattr(self, n)]
        if taken:
            named = ", ".join("--" + name.replace("_", "-") for name in taken)
            raise ConfigurationError(f"--start-minio-server makes its own {named}: give one or the other")
