"""How much the artifacts of a workspace may be."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.options import FeatureOptions, variable

MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True, kw_only=True, repr=False)
class ArtifactOptions(FeatureOptions):
    """Artifacts."""

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
