"""How much one user, workspace, client or address may have."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.options import variable

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Limits:
    """Limits."""

    max_connections_per_user: int = variable(
        2000,
        "Connections of one user; at the limit a newcomer takes the place of the client that is away longest",
        "HYPHA_MAX_CONNECTIONS_PER_USER",
    )
    max_sockets: int = variable(
        0,
        "Connections to the server; 0, and at most: as many as the limit of open files leaves room for",
        "HYPHA_MAX_SOCKETS",
    )
    max_sockets_per_address: int = variable(
        0,
        "Connections of one address (IPv6: /64 network) or signed-in user; 0: three quarters of all",
        "HYPHA_MAX_SOCKETS_PER_ADDRESS",
    )
    max_anonymous_clients_per_address: int = variable(
        0,
        "Connected clients of anonymous users of one address; 0: a quarter of all connections",
        "HYPHA_MAX_ANONYMOUS_CLIENTS_PER_ADDRESS",
    )
    max_clients_per_workspace: int = variable(
        10000, "Clients in one workspace", "HYPHA_MAX_CLIENTS_PER_WORKSPACE"
    )
    max_services_per_client: int = variable(1000, "Services of one client", "HYPHA_MAX_SERVICES_PER_CLIENT")
    max_services_per_workspace: int = variable(
        100_000, "Services in one workspace; 0: no limit", "HYPHA_MAX_SERVICES_PER_WORKSPACE"
    )
    max_service_bytes_per_client: int = variable(
        16 * MIB,
        "Descriptions of all services of one client; 0: no limit",
        "HYPHA_MAX_SERVICE_BYTES_PER_CLIENT",
        unit="bytes",
    )
    max_service_bytes_per_workspace: int = variable(
        128 * MIB,
        "The same of one workspace; 0: no limit",
        "HYPHA_MAX_SERVICE_BYTES_PER_WORKSPACE",
        unit="bytes",
    )
    max_service_bytes: int = variable(
        1024 * MIB,
        "The same of all; a quarter of it for anonymous users; 0: no limit",
        "HYPHA_MAX_SERVICE_BYTES",
        unit="bytes",
    )
    user_call_rate_limit: float = variable(
        0.0, "Frames and HTTP calls of one user; 0: no limit", "HYPHA_USER_CALL_RATE_LIMIT", unit="/s"
    )
    user_byte_rate_limit: float = variable(
        0.0, "Bytes sent by one user; 0: no limit", "HYPHA_USER_BYTE_RATE_LIMIT", unit="bytes/s"
    )
    workspace_call_rate_limit: float = variable(
        0.0,
        "The same for all that acts in a workspace; 0: no limit",
        "HYPHA_WORKSPACE_CALL_RATE_LIMIT",
        unit="/s",
    )
    workspace_byte_rate_limit: float = variable(
        0.0, "The same in bytes; 0: no limit", "HYPHA_WORKSPACE_BYTE_RATE_LIMIT", unit="bytes/s"
    )
    rate_burst_s: float = variable(
        5.0, "Seconds' worth of those rates that may come at once", "HYPHA_RATE_BURST", unit="s"
    )
    max_workspaces_per_user: int = variable(
        100, "Workspaces that one user owns", "HYPHA_MAX_WORKSPACES_PER_USER"
    )
    max_tokens_per_user: int = variable(
        10_000,
        "Generated tokens of one user that are valid, those made with them included; 0: no limit",
        "HYPHA_MAX_TOKENS_PER_USER",
    )
    max_body_bytes: int = variable(64 * MIB, "Largest body of an HTTP call", "HYPHA_MAX_BODY", unit="bytes")
    unfinished_bodies_bytes: int = variable(
        512 * MIB,
        "Memory for bodies of requests that have not come to their end",
        "HYPHA_UNFINISHED_BODIES",
        unit="bytes",
    )
    unfinished_bodies_per_address_bytes: int = variable(
        192 * MIB,
        "The same of one address or signed-in user",
        "HYPHA_UNFINISHED_BODIES_PER_ADDRESS",
        unit="bytes",
    )
    least_body_rate: float = variable(
        1024.0, "A body that comes more slowly on average is refused", "HYPHA_LEAST_BODY_RATE", unit="bytes/s"
    )
    body_patience_s: float = variable(
        20.0, "How long a body may come more slowly than that", "HYPHA_BODY_PATIENCE", unit="s"
    )
    max_running_requests: int = variable(
        4000,
        "HTTP requests of signed-in users that run, and as many of strangers",
        "HYPHA_MAX_RUNNING_REQUESTS",
    )
    max_running_requests_per_user: int = variable(
        1000, "HTTP requests of one user that run", "HYPHA_MAX_RUNNING_REQUESTS_PER_USER"
    )
    max_running_requests_per_address: int = variable(
        400,
        "HTTP requests of strangers of one address (IPv6: /64 network) that run",
        "HYPHA_MAX_RUNNING_REQUESTS_PER_ADDRESS",
    )
    http_call_timeout_s: float = variable(
        30.0, "Wait for the answer of a service called over HTTP", "HYPHA_HTTP_CALL_TIMEOUT", unit="s"
    )
    http_rate_limit: float = variable(
        100.0, "HTTP requests of one address without a credential", "HYPHA_HTTP_RATE_LIMIT", unit="/s"
    )
    http_burst_limit: float = variable(500.0, "Requests above that rate at once", "HYPHA_HTTP_BURST_LIMIT")
    http_authenticated_rate_limit: float = variable(
        1000.0, "HTTP requests of one signed-in user", "HYPHA_HTTP_AUTHENTICATED_RATE_LIMIT", unit="/s"
    )
    http_authenticated_burst_limit: float = variable(
        5000.0, "Requests above that rate at once", "HYPHA_HTTP_AUTHENTICATED_BURST_LIMIT"
    )
    workspace_unload_grace_period_s: float = variable(
        0.0,
        "Wait between a workspace's last disconnect and its unloading",
        "HYPHA_WORKSPACE_UNLOAD_GRACE_PERIOD",
        unit="s",
    )
    orphan_reap_interval_s: float = variable(
        300.0,
        "Accepted for older start scripts: ended clients leave nothing behind",
        "HYPHA_ORPHAN_REAP_INTERVAL",
        unit="s",
    )
    orphan_reap_initial_delay_s: float = variable(
        5.0, "Accepted for older start scripts", "HYPHA_ORPHAN_REAP_INITIAL_DELAY", unit="s"
    )
    orphan_reap_concurrency: int = variable(
        50, "Accepted for older start scripts", "HYPHA_ORPHAN_REAP_CONCURRENCY"
    )
    orphan_reap_ping_timeout_s: float = variable(
        3.0, "Accepted for older start scripts", "HYPHA_ORPHAN_REAP_PING_TIMEOUT", unit="s"
    )
    malloc_trim_interval_s: float = variable(
        60.0,
        "Pause between givings back of unused memory to the system; 0: never",
        "HYPHA_MALLOC_TRIM_INTERVAL",
        unit="s",
    )
