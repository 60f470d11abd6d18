"""Where the files of workspaces are kept."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from hypha.errors import ConfigurationError, InvalidKey
from hypha.objects.keys import check_bucket
from hypha.options import FeatureOptions, flag, variable

MIB = 1024 * 1024
GIB = 1024 * MIB
MINIO = "minio"
DEFAULT_MINIO_KEY = "minioadmin"


@dataclass(frozen=True, kw_only=True, repr=False)
class StorageOptions(FeatureOptions):
    """Files of workspaces."""

    enable_s3: bool = flag(False, "Accepted for older start scripts: files can always be kept")
    enable_s3_proxy: bool = flag(
        False, "Files on S3: addresses lead through this server, not to the S3 endpoint itself"
    )
    s3_cleanup_period: float = flag(300, "Pause between two looks for files whose time is over", unit="s")
    workspace_bucket: str = flag("hypha-workspaces", "Name of the bucket, or folder, of all files")

    endpoint_url: str | None = flag(None, "S3 endpoint that keeps the files, in place of the data folder")
    endpoint_url_public: str | None = flag(None, "The same as people reach it, where that is another address")
    access_key_id: str | None = flag(None, "Its access key", secret=True)
    secret_access_key: str | None = flag(None, "Its secret key", secret=True)
    region_name: str = flag("us-east-1", "Its region")
    s3_admin_type: str = flag(
        "generic", "Kind of its administration; MinIO lends keys to people", choices=("generic", MINIO)
    )
    s3_disable_proxy: bool = variable(
        True, "Requests to S3 go through no proxy, whatever the environment names", "HYPHA_S3_DISABLE_PROXY"
    )
    s3_role_arn: str | None = variable(
        None, "Role that S3 lends keys for (STS AssumeRole)", "HYPHA_S3_ROLE_ARN"
    )
    s3_sts_endpoint_url: str | None = variable(
        None, "Where its STS is, if not at the S3 endpoint", "HYPHA_S3_STS_ENDPOINT_URL"
    )

    start_minio_server: bool = flag(
        False, "Keep files in a MinIO server that is started and ended with this one, if minio is installed"
    )
    minio_workdir: str | None = flag(
        None, "Its folder, an absolute path; by default `minio` in the data folder"
    )
    minio_port: int = flag(9000, "Its port")
    minio_console_port: int | None = flag(None, "Port of its console; port + 1 when absent")
    minio_root_user: str = flag(DEFAULT_MINIO_KEY, "Its user")
    minio_root_password: str = flag(
        DEFAULT_MINIO_KEY, "Its password; made anew at each start where others reach it", secret=True
    )
    minio_version: str | None = flag(None, "Release that it should be of; another one is a warning")
    mc_version: str | None = flag(None, "Accepted for older start scripts: mc is not used")
    minio_file_system_mode: bool = flag(
        False, "Plain files in --minio-workdir: in MinIO with EC:0, without it by the embedded store"
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
        elif self.endpoint_url:
            self._check_endpoint()
        elif self.access_key_id or self.secret_access_key:
            raise ConfigurationError("--access-key-id and --secret-access-key need --endpoint-url")

    def _check_own_server(self) -> None:
        taken = [n for n in ("endpoint_url", "access_key_id", "secret_access_key") if getattr(self, n)]
        if taken:
            named = ", ".join("--" + name.replace("_", "-") for name in taken)
            raise ConfigurationError(f"--start-minio-server makes its own {named}: give one or the other")

    def _check_endpoint(self) -> None:
        if not (self.access_key_id and self.secret_access_key):
            raise ConfigurationError("--endpoint-url needs --access-key-id and --secret-access-key")
        for name in ("endpoint_url", "endpoint_url_public", "s3_sts_endpoint_url"):
            parts = urlsplit(getattr(self, name) or "http://none")
            if (
                parts.scheme not in ("http", "https")
                or not parts.netloc
                or "@" in parts.netloc
                or parts.query
            ):
                flag_name = "--" + name.replace("_", "-")
                raise ConfigurationError(f"{flag_name} is an address such as https://s3.example.org")
