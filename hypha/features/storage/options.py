"""Where the files of workspaces are kept."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.errors import ConfigurationError, InvalidKey
from hypha.objects.keys import check_bucket
from hypha.options import FeatureOptions, flag


@dataclass(frozen=True, kw_only=True, repr=False)
class StorageOptions(FeatureOptions):
    """Files of workspaces."""

    enable_s3: bool = flag(False, "Accepted for older start scripts: files can always be kept")
    enable_s3_proxy: bool = flag(
        False, "Accepted for older start scripts: signed addresses always lead to this server"
    )
    s3_cleanup_period: float = flag(300, "Pause between two looks for files whose time is over", unit="s")
    workspace_bucket: str = flag("hypha-workspaces", "Name of the folder, and in addresses, of all files")

    def check(self) -> None:
        """Refuse what cannot be the name of a bucket."""
        try:
            check_bucket(self.workspace_bucket)
        except InvalidKey as error:
            raise ConfigurationError(f"--workspace-bucket: {error.message}") from None
        if self.s3_cleanup_period <= 0:
            raise ConfigurationError("--s3-cleanup-period is a number of seconds above 0.")
