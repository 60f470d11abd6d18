"""How much the artifacts of a workspace may be."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.features.artifacts.places import checked_endpoint
from hypha.options import FeatureOptions, flag, variable

MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True, kw_only=True, repr=False)
class ArtifactOptions(FeatureOptions):
    """Artifacts."""

    artifact_s3_endpoints: tuple[str, ...] = flag(
        (), "S3 endpoints that secrets of artifacts may name, for files that their owners keep there"
    )
    max_artifacts_per_workspace: int = variable(
        100_000, "Artifacts of one workspace", "HYPHA_MAX_ARTIFACTS_PER_WORKSPACE"
    )
    max_artifact_record_bytes_per_workspace: int = variable(
        GIB,
        "Manifests, configs and secrets of all their versions, in bytes",
        "HYPHA_MAX_ARTIFACT_RECORD_BYTES_PER_WORKSPACE",
        unit="bytes",
    )
    max_artifact_files_per_workspace: int = variable(
        10_000_000, "Files in the artifacts of one workspace", "HYPHA_MAX_ARTIFACT_FILES_PER_WORKSPACE"
    )
    max_artifact_bytes_per_workspace: int = variable(
        1024 * GIB, "The same in bytes", "HYPHA_MAX_ARTIFACT_BYTES_PER_WORKSPACE", unit="bytes"
    )

    def check(self) -> None:
        """Refuse endpoints that are none."""
        for endpoint in self.artifact_s3_endpoints:
            checked_endpoint(endpoint)
