"""What bounds tasks and the calls that give and take them."""

from __future__ import annotations

from hypha.limits.bound import QUOTA, Bound, Section

BOUNDS = {
    Section.STORED: (
        Bound(
            "tasks",
            "Tasks in queues: number; bytes",
            "workspace",
            QUOTA,
            ("max_tasks_per_workspace", "max_task_bytes_per_workspace"),
        ),
        Bound(
            "one_task",
            "A task; tasks and bytes of `peek`; wait of `pop`; lease",
            "call",
            "Refused; fewer are shown",
            (
                "hypha.features.queues.delivery.MAX_TASK_BYTES",
                "hypha.features.queues.service.MAX_PEEK",
                "hypha.features.queues.delivery.MAX_PEEK_BYTES",
                "hypha.features.queues.service.MAX_TIMEOUT_S",
                "hypha.features.queues.service.MAX_LEASE_S",
            ),
        ),
    ),
}
