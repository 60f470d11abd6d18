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
