"""How much the queues of a workspace may hold."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.options import FeatureOptions, variable

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, repr=False)
class QueueOptions(FeatureOptions):
    """Queues."""

    max_tasks_per_workspace: int = variable(
        100_000, "Tasks in the queues of one workspace", "HYPHA_MAX_TASKS_PER_WORKSPACE"
    )
    max_task_bytes_per_workspace: int = variable(
        512 * MIB, "The same in bytes", "HYPHA_MAX_TASK_BYTES_PER_WORKSPACE", unit="bytes"
    )
