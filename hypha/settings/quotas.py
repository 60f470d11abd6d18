"""How much the server keeps on disk, for each workspace, each person and in all."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.options import variable

MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Quotas:
    """What is kept."""

    max_events_per_workspace: int = variable(
        100_000, "Entries of the event log of one workspace", "HYPHA_MAX_EVENTS_PER_WORKSPACE"
    )
    max_event_bytes_per_workspace: int = variable(
        64 * MIB, "The same in bytes", "HYPHA_MAX_EVENT_BYTES_PER_WORKSPACE", unit="bytes"
    )
    event_retention_s: float = variable(
        365 * 86400.0, "How long entries of event logs are kept", "HYPHA_EVENT_RETENTION", unit="s"
    )
    event_rate_limit: float = variable(
        100.0, "Entries that one user adds to event logs; 0: no limit", "HYPHA_EVENT_RATE_LIMIT", unit="/s"
    )
    event_byte_rate_limit: float = variable(
        MIB, "The same in bytes; 0: no limit", "HYPHA_EVENT_BYTE_RATE_LIMIT", unit="bytes/s"
    )
    max_variables_per_workspace: int = variable(
        1000, "Environment variables of one workspace", "HYPHA_MAX_VARIABLES_PER_WORKSPACE"
    )
    max_variable_bytes_per_workspace: int = variable(
        MIB, "The same in bytes", "HYPHA_MAX_VARIABLE_BYTES_PER_WORKSPACE", unit="bytes"
    )
    max_service_types_per_workspace: int = variable(
        1000, "Service types of one workspace", "HYPHA_MAX_SERVICE_TYPES_PER_WORKSPACE"
    )
    max_service_type_bytes_per_workspace: int = variable(
        4 * MIB, "The same in bytes", "HYPHA_MAX_SERVICE_TYPE_BYTES_PER_WORKSPACE", unit="bytes"
    )
    max_bookmarks_per_workspace: int = variable(
        1000, "Bookmarks in one workspace", "HYPHA_MAX_BOOKMARKS_PER_WORKSPACE"
    )
    max_bookmark_bytes_per_workspace: int = variable(
        MIB, "The same in bytes", "HYPHA_MAX_BOOKMARK_BYTES_PER_WORKSPACE", unit="bytes"
    )
    max_stored_bytes_per_person: int = variable(
        4 * GIB,
        "All of this together in the workspaces that one person made; 0: no limit",
        "HYPHA_MAX_STORED_BYTES_PER_PERSON",
        unit="bytes",
    )
    max_stored_bytes: int = variable(
        64 * GIB, "All of this together; 0: no limit", "HYPHA_MAX_STORED_BYTES", unit="bytes"
    )
    anonymous_quota_share: float = variable(
        0.1, "What an anonymous user's workspace has of those of a workspace", "HYPHA_ANONYMOUS_QUOTA_SHARE"
    )
    max_stored_bytes_of_anonymous: int = variable(
        GIB,
        "All of this together in the workspaces of anonymous users; 0: no limit",
        "HYPHA_MAX_STORED_BYTES_OF_ANONYMOUS",
        unit="bytes",
    )
