"""Where the server listens and what it tells of itself."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.options import flag, variable


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Serving:
    """Serving."""

    from_env: bool = flag(False, "Take values from the HYPHA_… variables; a given flag wins")
    host: str = flag("127.0.0.1", "Address to listen on; 0.0.0.0 for all")
    port: int = flag(9527, "Port to listen on")
    base_path: str = flag("/", "Path put before every route, such as /my/engine")
    public_base_url: str | None = flag(
        None, "URL under which clients reach the server, when it is behind a proxy; told to every client"
    )
    allow_origins: str = flag(
        "*",
        "Origins that web pages may call from, separated by commas; cookies only for those named, not by *",
        also=("ALLOW_ORIGINS",),
    )
    trust_apps: bool = flag(
        False, "Let pages that clients serve act with the session of whoever opens them; see docs/security.md"
    )
    apps_origin: str | None = flag(
        None,
        "Origin, such as https://apps.example, on which alone applications of clients are served; "
        "see docs/security.md",
    )
    trusted_proxies: str = flag(
        "",
        "Addresses or networks of proxies whose X-Forwarded-… are believed, separated by commas",
    )
    server_id: str | None = flag(
        None, "Name of this replica, unique among live ones; random when absent", also=("HYPHA_SERVER_ID",)
    )
    static_mounts: tuple[str, ...] = flag((), "Folders to serve as files, each as /path:folder")
    startup_functions: tuple[str, ...] = flag(
        (), "Functions to run before the server becomes ready, each as file.py:function or module:function"
    )
    supervise: bool = flag(
        False, "Run under a small parent that holds the port over restarts and starts a dead server again"
    )
    workers: int = flag(1, "Number of server processes; more than one needs Redis")
    loglevel: str = variable("WARNING", "Level of the server's own log lines", "HYPHA_LOGLEVEL")
    access_log: bool = variable(False, "Log each HTTP request", "HYPHA_ACCESS_LOG")
    expose_detailed_errors: bool = variable(
        False,
        "Put tracebacks into HTTP errors; never on a server that others reach",
        "HYPHA_EXPOSE_DETAILED_ERRORS",
    )
    shutdown_timeout_s: float = variable(
        8.0, "Longest wait for running requests at the end", "HYPHA_SHUTDOWN_TIMEOUT", unit="s"
    )
    keep_alive_s: int = variable(
        300, "Idle HTTP connections are kept this long", "HYPHA_KEEP_ALIVE", unit="s"
    )
