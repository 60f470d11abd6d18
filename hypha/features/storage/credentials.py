"""Keys of the storage itself for people: for the folder of their workspace, and for some hours."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.features.storage.files import WorkspaceFiles
from hypha.features.storage.paths import ARTIFACTS, FilePath
from hypha.features.storage.service import StorageService


class Lender(ABC):
    """Lends keys."""

    @abstractmethod
    async def lend(self, prefix: str, user_id: str) -> dict[str, Any]:
        """A key that opens nothing but what lies below a prefix.

        Gives `endpoint_url`, `access_key_id`, `secret_access_key`, `session_token`, `expires_at` (Unix
        seconds), `region_name`, `bucket` and `prefix`.

        Raises:
            QuotaExceeded: its owner keeps too much already. BackendUnavailable.
        """


class LendingStorageService(StorageService):
    """The same, where the storage can lend keys."""

    def __init__(self, files: WorkspaceFiles, bucket_url: str, lender: Lender) -> None:
        super().__init__(files, bucket_url)
        self._lender = lender

    @permission(Level.READ_WRITE)
    async def generate_credential(self, *, context: Context) -> dict[str, Any]:
        """Get a key for the files of the workspace, for programs that speak S3; it ends by itself.

        Gives `endpoint_url`, `access_key_id`, `secret_access_key`, `session_token`, `region_name`, `bucket`,
        `prefix` (with which all keys begin) and `expires_at`.
        """
        prefix = f"{context.workspace}/"
        await self._files.check_writable(context, FilePath(f"{prefix}x", prefix))
        return await self._lender.lend(prefix, context.user.id)


def policy_of(bucket: str, prefix: str) -> dict[str, Any]:
    """What a key may do: all with the files below a prefix, but those of artifacts, and list them."""
    all_of, of_artifacts = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/{prefix}{ARTIFACTS}/*"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["s3:GetBucketLocation"], "Resource": [all_of]},
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket"],
                "Resource": [all_of],
                "Condition": {"StringLike": {"s3:prefix": [f"{prefix}*"]}},
            },
            {"Effect": "Allow", "Action": ["s3:*"], "Resource": [f"{all_of}/{prefix}*"]},
            {"Effect": "Deny", "Action": ["s3:*"], "Resource": [of_artifacts]},
        ],
    }
