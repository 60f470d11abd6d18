"""Options of apps."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.options import FeatureOptions, flag, variable


@dataclass(frozen=True, kw_only=True, repr=False)
class AppOptions(FeatureOptions):
    """Apps."""

    ALL_ON = ("--enable-server-apps",)

    enable_server_apps: bool = flag(False, "Apps: install programs, and start them on workers")
    disable_inprocess_browser_worker: bool = variable(
        False, "Server apps without a browser of the server's own", "HYPHA_DISABLE_INPROCESS_BROWSER_WORKER"
    )
    disable_ssl: bool = flag(False, "Tell workers not to check the server's certificate")
    max_app_sessions: int = variable(
        1000, "Sessions of apps on the server", "HYPHA_MAX_APP_SESSIONS", unit="sessions"
    )
    max_app_sessions_per_workspace: int = variable(
        100, "Sessions of apps in a workspace", "HYPHA_MAX_APP_SESSIONS_PER_WORKSPACE", unit="sessions"
    )
    max_app_sessions_per_user: int = variable(
        100,
        "Sessions of apps that one person has started",
        "HYPHA_MAX_APP_SESSIONS_PER_USER",
        unit="sessions",
    )
