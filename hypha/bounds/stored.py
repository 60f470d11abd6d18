"""What is registered and kept: services, workspaces, and what people store in them."""

from __future__ import annotations

from hypha.limits.bound import QUOTA, Bound

STORED = (
    Bound(
        "services_of_a_client",
        "Services of a client",
        "client",
        "`QuotaExceeded`",
        ("max_services_per_client",),
    ),
    Bound(
        "services_of_a_workspace",
        "Services of a workspace",
        "workspace",
        "`QuotaExceeded`",
        ("max_services_per_workspace",),
    ),
    Bound(
        "descriptions_of_services",
        "Descriptions of services",
        "client; workspace; all, a quarter of it for anonymous users",
        "`QuotaExceeded`",
        ("max_service_bytes_per_client", "max_service_bytes_per_workspace", "max_service_bytes"),
    ),
    Bound(
        "one_description",
        "Description of one service; of it title, text, type, app id; workspaces that may use it",
        "service",
        "Refused",
        (
            "hypha.registry.records.MAX_INFO_BYTES",
            "hypha.registry.records.MAX_TITLE_CHARS",
            "hypha.registry.records.MAX_DESCRIPTION_CHARS",
            "hypha.registry.records.MAX_TYPE_CHARS",
            "hypha.registry.records.MAX_APP_ID_CHARS",
            "hypha.registry.records.MAX_AUTHORIZED_WORKSPACES",
        ),
    ),
    Bound(
        "workspaces_of_a_user",
        "Workspaces",
        "owner",
        "`QuotaExceeded`",
        ("max_workspaces_per_user",),
    ),
    Bound(
        "one_workspace",
        "Owners of a workspace; workspaces in a listing; values that are looked for in one, and their text",
        "workspace; answer; call",
        "Refused; cut; refused",
        (
            "hypha.workspaces.records.MAX_OWNERS",
            "hypha.workspaces.catalogue.MAX_LISTED",
            "hypha.workspaces.catalogue.MAX_MATCHED",
            "hypha.workspaces.catalogue.MAX_MATCHED_CHARS",
        ),
    ),
    Bound(
        "event_log",
        "Event log: entries; bytes; age",
        "workspace",
        f"{QUOTA}; old entries go",
        ("max_events_per_workspace", "max_event_bytes_per_workspace", "event_retention_s"),
    ),
    Bound(
        "pace_of_event_logs",
        "Entries added to event logs per second; their bytes",
        "user",
        "`RateLimited`",
        ("event_rate_limit", "event_byte_rate_limit"),
    ),
    Bound(
        "one_event",
        "Entry of an event log or another stored value; its type; entries, bytes, types of an answer",
        "call",
        "Refused; the oldest entries are left out",
        (
            "hypha.workspaces.values.MAX_VALUE_BYTES",
            "hypha.workspaces.event_log.MAX_TYPE_CHARS",
            "hypha.workspaces.event_log.MAX_FOUND",
            "hypha.store.events.MAX_FOUND_BYTES",
            "hypha.store.events.MAX_TYPES_COUNTED",
        ),
    ),
    Bound(
        "variables",
        "Environment variables: number; bytes",
        "workspace",
        QUOTA,
        ("max_variables_per_workspace", "max_variable_bytes_per_workspace"),
    ),
    Bound(
        "one_variable",
        "Name of a variable; value",
        "variable",
        "Refused",
        ("hypha.workspaces.environment.MAX_KEY_CHARS", "hypha.workspaces.environment.MAX_VARIABLE_BYTES"),
    ),
    Bound(
        "service_types",
        "Service types: number; bytes",
        "workspace",
        QUOTA,
        ("max_service_types_per_workspace", "max_service_type_bytes_per_workspace"),
    ),
    Bound(
        "bookmarks",
        "Bookmarks: number; bytes",
        "workspace",
        QUOTA,
        ("max_bookmarks_per_workspace", "max_bookmark_bytes_per_workspace"),
    ),
    Bound(
        "kept_in_all",
        "All that workspaces keep, together, in bytes",
        "person who made the workspaces; all; workspaces of anonymous users",
        "`QuotaExceeded`",
        ("max_stored_bytes_per_person", "max_stored_bytes", "max_stored_bytes_of_anonymous"),
    ),
    Bound(
        "audit_log",
        "Audit log: entries, a quarter of it for refusals, a tenth for those of strangers; age; letters of a "
        "text",
        "in all",
        "The oldest of the kind go; refusals of one source are counted",
        (
            "audit_max_entries",
            "audit_retention_s",
            "hypha.auth.audit.MAX_TEXT_CHARS",
        ),
    ),
)
