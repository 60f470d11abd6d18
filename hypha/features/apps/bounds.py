"""What bounds apps and their sessions."""

from __future__ import annotations

from hypha.limits.bound import QUOTA, Bound, Section

BOUNDS = {
    Section.STORED: (
        Bound(
            "app_sessions",
            "Sessions of apps",
            "workspace; user; server",
            QUOTA,
            ("max_app_sessions_per_workspace", "max_app_sessions_per_user", "max_app_sessions"),
        ),
        Bound(
            "one_app",
            "Files of an app that is installed; its source; an address as source; its id; "
            "`additional_kwargs`; `timeout`; name of a service; script to run; other texts; instances",
            "call",
            "Refused",
            (
                "hypha.features.apps.file_formats.MAX_FILES",
                "hypha.features.apps.sources.MAX_SOURCE_CHARS",
                "hypha.features.apps.sources.MAX_ADDRESS_CHARS",
                "hypha.features.apps.manifests.MAX_APP_ID_CHARS",
                "hypha.features.apps.startup.MAX_KWARGS_BYTES",
                "hypha.features.apps.startup.MAX_TIMEOUT_S",
                "hypha.features.apps.startup.MAX_SERVICE_CHARS",
                "hypha.features.apps.base.MAX_TEXT_CHARS",
                "hypha.features.apps.functions_sessions.MAX_SCRIPT_CHARS",
                "hypha.features.apps.scaling.MAX_INSTANCES",
            ),
        ),
        Bound(
            "app_sources",
            "Sources of apps that are fetched at the same time; redirects",
            "user; server; source",
            "Refused",
            (
                "hypha.features.apps.fetching.MAX_FETCHES_PER_PARTY",
                "hypha.features.apps.fetching.MAX_FETCHES",
                "hypha.features.apps.fetching.MAX_REDIRECTS",
            ),
        ),
        Bound(
            "app_callers",
            "Callers that wait for an app to start",
            "app; server",
            "Refused",
            ("hypha.features.apps.lazy.MAX_WAITING_PER_APP", "hypha.features.apps.lazy.MAX_WAITING"),
        ),
        Bound(
            "app_logs",
            "Entries of a page of a session's log; text in it; type of an entry",
            "call",
            "More is cut off",
            (
                "hypha.features.apps.logs.MAX_ITEMS",
                "hypha.features.apps.logs.MAX_PAGE_CHARS",
                "hypha.features.apps.logs.MAX_TYPE_CHARS",
            ),
        ),
    ),
}
