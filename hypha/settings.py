"""All options of the server, each declared once.

The command line, the environment variables and `docs/options.md` are generated from these
fields. Import of this module must stay cheap: `--help` waits for it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass

from hypha.errors import ConfigurationError
from hypha.options import OptionParser, build_parser, flag, options_of, read_options, variable

MIN_ROOT_TOKEN_CHARS = 32
STRONG_ROOT_TOKEN_CHARS = 64
GUESSABLE_WORDS = "test root admin password token secret 123 abc hypha default".split()
REDIS_SCHEMES = ("redis://", "rediss://", "unix://")
MIB = 1024 * 1024


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
        "*", "Origins that web pages may call from, separated by commas", also=("ALLOW_ORIGINS",)
    )
    trusted_proxies: str = flag(
        "", "Addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas"
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


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Storing:
    """Storing."""

    data_dir: str = flag("./hypha-data", "Folder of everything that must last; :memory: keeps nothing")
    database_uri: str | None = flag(
        None,
        "Database of the records, as sqlite+aiosqlite:///file or postgresql+asyncpg://…; "
        "SQLite in the data folder when absent",
        secret=True,
    )
    migrate_database: str | None = flag(
        None, "Accepted for older start scripts: the tables are always brought up to date at start"
    )
    redis_uri: str | None = flag(
        None,
        "Redis that replicas share, as redis://, rediss:// or unix://",
        feature="replicas over Redis",
        secret=True,
    )
    reset_redis: bool = flag(False, "Empty Redis at start", feature="replicas over Redis")
    redis_max_connections: int = variable(
        2000, "Size of the Redis pool", "HYPHA_REDIS_MAX_CONNECTIONS", feature="replicas over Redis"
    )
    redis_health_check_interval_s: float = variable(
        30,
        "Pause between checks of Redis",
        "HYPHA_REDIS_HEALTH_CHECK_INTERVAL",
        unit="s",
        feature="replicas over Redis",
    )
    eventbus_max_failures: int = variable(
        5,
        "Failures in a row after which the bus counts as broken",
        "HYPHA_EVENTBUS_MAX_FAILURES",
        feature="replicas over Redis",
    )
    server_check_timeout_s: float = variable(
        2,
        "Wait for another replica's answer at start",
        "HYPHA_SERVER_CHECK_TIMEOUT",
        unit="s",
        feature="replicas over Redis",
    )
    server_check_concurrency: int = variable(
        50,
        "Replicas asked at the same time at start",
        "HYPHA_SERVER_CHECK_CONCURRENCY",
        feature="replicas over Redis",
    )
    server_check_deadline_s: float = variable(
        60,
        "Longest check of all replicas at start",
        "HYPHA_SERVER_CHECK_DEADLINE",
        unit="s",
        feature="replicas over Redis",
    )
    cache_dir: str | None = flag(None, "Folder for downloaded programs and models", feature="embeddings")
    executable_path: str = flag("bin", "Folder of helper programs", feature="the built-in MinIO")


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class SigningIn:
    """Signing in."""

    root_token: str | None = flag(
        None, "Secret that makes its holder root; at least 32 characters", secret=True
    )
    jwt_secret: str | None = variable(
        None, "Key that signs tokens; kept in the data folder when absent", "HYPHA_JWT_SECRET", "JWT_SECRET"
    )
    max_token_life_time_s: float = variable(
        10 * 365 * 86400.0, "Longest life of a generated token", "HYPHA_MAX_TOKEN_LIFE_TIME", unit="s"
    )
    reconnection_token_life_time_s: float = variable(
        172800.0, "Life of the token with which a client reconnects", "RECONNECTION_TOKEN_LIFE_TIME", unit="s"
    )
    audit_retention_s: float = variable(
        90 * 86400.0, "How long entries of the audit log are kept", "HYPHA_AUDIT_RETENTION", unit="s"
    )
    audit_max_entries: int = variable(
        200_000, "Entries of the audit log above which the oldest go", "HYPHA_AUDIT_MAX_ENTRIES"
    )
    auth0_client_id: str = variable("", "Client id at Auth0, told to clients", "AUTH0_CLIENT_ID")
    auth0_domain: str = variable(
        "", "Auth0 tenant whose tokens are accepted; none when empty", "AUTH0_DOMAIN"
    )
    auth0_audience: str = variable(
        "https://amun-ai.eu.auth0.com/api/v2/", "Audience of the tokens, ours included", "AUTH0_AUDIENCE"
    )
    auth0_issuer: str = variable("https://amun.ai/", "Issuer of the tokens, ours included", "AUTH0_ISSUER")
    auth0_namespace: str = variable(
        "https://amun.ai/", "Prefix of our own claims in the tokens", "AUTH0_NAMESPACE"
    )
    auth0_client_secret: str | None = variable(None, "Secret of that client, if any", "AUTH0_CLIENT_SECRET")
    auth0_admin_role: str = variable("", "Auth0 role of administrators here", "HYPHA_AUTH0_ADMIN_ROLE")
    oidc_discovery_url: str = variable("", "Discovery document of a provider", "HYPHA_OIDC_DISCOVERY_URL")
    oidc_client_id: str = variable("", "Client id there", "HYPHA_OIDC_CLIENT_ID")
    oidc_client_secret: str | None = variable(None, "Client secret there, if any", "HYPHA_OIDC_CLIENT_SECRET")
    oidc_scopes: str = variable("openid profile email", "Scopes to ask for", "HYPHA_OIDC_SCOPES")
    oidc_name: str = variable("", "Name on the sign-in button; the host when empty", "HYPHA_OIDC_NAME")
    oidc_provider_id: str = variable(
        "oidc", "Begins its users' ids; never change it", "HYPHA_OIDC_PROVIDER_ID"
    )
    oidc_roles_claim: str = variable("", "Claim with roles: realm_access.roles", "HYPHA_OIDC_ROLES_CLAIM")
    oidc_admin_role: str = variable("", "Role there that makes administrators here", "HYPHA_OIDC_ADMIN_ROLE")
    oidc_providers: str | None = variable(
        None, "Several providers, as JSON or the name of a JSON file", "HYPHA_OIDC_PROVIDERS", secret=True
    )
    oidc_token_life_s: float = variable(
        86400.0, "Life of the token that a sign-in with a provider gives", "HYPHA_OIDC_TOKEN_LIFE", unit="s"
    )
    oidc_key_pause_s: float = variable(
        10.0, "Least pause between two fetches of a provider's keys", "HYPHA_OIDC_REFETCH_PAUSE", unit="s"
    )
    maximum_login_time_s: float = variable(180.0, "Life of a login key", "MAXIMUM_LOGIN_TIME", unit="s")
    login_ping_timeout_s: float = variable(
        3.0, "Wait for the login service's answer", "HYPHA_LOGIN_PING_TIMEOUT", unit="s"
    )
    login_guard_interval_s: float = variable(
        30.0,
        "Pause between checks that a login service is there; 0 or less: none",
        "HYPHA_LOGIN_GUARD_INTERVAL",
        unit="s",
    )
    enable_local_auth: bool = flag(
        False, "Accounts with e-mail and password; on by themselves when no other way to sign in is set up"
    )
    allow_sign_up: bool = variable(True, "Whether people may make accounts themselves", "HYPHA_ALLOW_SIGN_UP")
    smtp_host: str | None = variable(None, "Mail server that sends codes to people", "HYPHA_SMTP_HOST")
    smtp_port: int = variable(587, "Its port", "HYPHA_SMTP_PORT")
    smtp_security: str = variable(
        "starttls", "How the way to it is encrypted: starttls, tls or none", "HYPHA_SMTP_SECURITY"
    )
    smtp_user: str | None = variable(None, "Name to give to the mail server", "HYPHA_SMTP_USER")
    smtp_password: str | None = variable(None, "Password to give to the mail server", "HYPHA_SMTP_PASSWORD")
    resend_api_key: str | None = variable(
        None, "Key of the e-mail service Resend, instead of a mail server", "RESEND_API_KEY"
    )
    verification_from_email: str | None = variable(None, "Sender of e-mails", "HYPHA_VERIFICATION_FROM_EMAIL")
    verification_code_ttl_s: float = variable(
        600, "Life of a code sent by e-mail", "HYPHA_VERIFICATION_CODE_TTL", unit="s"
    )
    verification_max_attempts: int = variable(
        5,
        "Tries for one code",
        "HYPHA_VERIFICATION_CODE_MAX_ATTEMPTS",
        "HYPHA_VERIFICATION_MAX_ATTEMPTS",
    )
    verification_resend_throttle_s: float = variable(
        30,
        "Pause before a code is sent again",
        "HYPHA_VERIFICATION_CODE_RESEND_THROTTLE",
        "HYPHA_VERIFICATION_RESEND_THROTTLE",
        unit="s",
    )
    verification_max_pending: int = variable(
        10000,
        "Sign-ups that wait for their code",
        "HYPHA_VERIFICATION_CODE_MAX_PENDING",
        "HYPHA_VERIFICATION_MAX_PENDING",
    )
    sign_in_attempts_per_account: int = variable(
        10,
        "Wrong passwords or codes for one account from one address in ten minutes",
        "HYPHA_SIGN_IN_ATTEMPTS",
    )
    sign_in_attempts_per_address: int = variable(
        200,
        "Sign-ins, sign-ups and codes from one address in ten minutes",
        "HYPHA_SIGN_IN_ATTEMPTS_PER_ADDRESS",
    )


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Connecting:
    """Connections."""

    hold_time_s: float = variable(
        10.0, "How long calls wait for a client whose link dropped", "HYPHA_HOLD_TIME", unit="s"
    )
    resume_window_s: float = variable(
        90.0, "How long such a client keeps its identity and services", "HYPHA_RESUME_WINDOW", unit="s"
    )
    ack_interval_s: float = variable(
        2.0, "Pause between two acknowledging PINGs of a connection", "HYPHA_ACK_INTERVAL", unit="s"
    )
    held_limit_bytes: int = variable(
        32 * MIB, "Frames kept for one client whose link dropped", "HYPHA_HELD_LIMIT", unit="bytes"
    )
    slow_reader_deadline_s: float = variable(
        20.0,
        "A client that reads nothing for this long is closed (1013)",
        "HYPHA_SLOW_READER_DEADLINE",
        unit="s",
    )
    foreign_pause_limit_s: float = variable(
        2.0,
        "How long a slow reader may pause a sender of another workspace",
        "HYPHA_FOREIGN_PAUSE_LIMIT",
        unit="s",
    )
    max_frame_bytes: int = variable(16 * MIB, "Largest frame", "HYPHA_MAX_FRAME", unit="bytes")
    handshake_timeout_s: float = variable(
        5.0, "Wait for a client's first message", "HYPHA_HANDSHAKE_TIMEOUT", unit="s"
    )
    ws_idle_timeout_s: float = variable(
        600.0, "A connection without inbound traffic is closed after this", "HYPHA_WS_IDLE_TIMEOUT", unit="s"
    )
    ws_msg_rate_limit: float = variable(
        0.0,
        "Frames per second that are read from a connection; 0: no limit",
        "HYPHA_WS_MSG_RATE_LIMIT",
        unit="/s",
    )
    ws_msg_burst_limit: float = variable(
        2000.0, "Frames above that rate that are read at once", "HYPHA_WS_MSG_BURST_LIMIT"
    )
    max_concurrent_connections: int = variable(
        200, "Handshakes in progress", "HYPHA_MAX_CONCURRENT_CONNECTIONS"
    )
    activity_check_interval_s: float = variable(
        10.0, "Pause between checks for inactivity", "ACTIVITY_CHECK_INTERVAL", unit="s"
    )
    stream_ping_interval_s: float = variable(
        10.0, "Pause between pings on an HTTP stream", "HYPHA_STREAM_PING_INTERVAL", unit="s"
    )
    stream_idle_threshold_s: float = variable(
        60.0,
        "An HTTP stream this long without a POST is asked for life",
        "HYPHA_STREAM_IDLE_THRESHOLD",
        unit="s",
    )
    stream_sweep_interval_s: float = variable(
        30.0, "Pause between two looks for idle HTTP streams", "HYPHA_STREAM_SWEEP_INTERVAL", unit="s"
    )
    stream_ping_timeout_s: float = variable(
        5.0, "Wait for the answer of an idle HTTP stream's client", "HYPHA_STREAM_PING_TIMEOUT", unit="s"
    )
    stream_max_ping_misses: int = variable(
        3, "Missed answers after which an HTTP stream is closed", "HYPHA_STREAM_MAX_PING_MISSES"
    )
    stream_max_queue_drops: int = variable(
        200, "Accepted for older start scripts: nothing is dropped", "HYPHA_STREAM_MAX_QUEUE_DROPS"
    )


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Limits:
    """Limits."""

    max_connections_per_user: int = variable(
        2000,
        "Connections of one user; at the limit a newcomer takes the place of the client that is away longest",
        "HYPHA_MAX_CONNECTIONS_PER_USER",
    )
    max_clients_per_workspace: int = variable(
        10000, "Clients in one workspace", "HYPHA_MAX_CLIENTS_PER_WORKSPACE"
    )
    max_services_per_client: int = variable(1000, "Services of one client", "HYPHA_MAX_SERVICES_PER_CLIENT")
    max_services_per_workspace: int = variable(
        100_000, "Services in one workspace; 0: no limit", "HYPHA_MAX_SERVICES_PER_WORKSPACE"
    )
    user_call_rate_limit: float = variable(
        0.0, "Frames and HTTP calls of one user; 0: no limit", "HYPHA_USER_CALL_RATE_LIMIT", unit="/s"
    )
    user_byte_rate_limit: float = variable(
        0.0, "Bytes sent by one user; 0: no limit", "HYPHA_USER_BYTE_RATE_LIMIT", unit="bytes/s"
    )
    workspace_call_rate_limit: float = variable(
        0.0, "The same for all of a workspace; 0: no limit", "HYPHA_WORKSPACE_CALL_RATE_LIMIT", unit="/s"
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
    max_body_bytes: int = variable(64 * MIB, "Largest body of an HTTP call", "HYPHA_MAX_BODY", unit="bytes")
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


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Files:
    """Files and artifacts."""

    enable_s3: bool = flag(False, "Artifacts, files, git and stored workspaces", feature="artifacts")
    endpoint_url: str | None = flag(None, "S3 endpoint", feature="artifacts")
    endpoint_url_public: str | None = flag(None, "S3 endpoint as others see it", feature="artifacts")
    access_key_id: str | None = flag(None, "S3 access key", feature="artifacts", secret=True)
    secret_access_key: str | None = flag(None, "S3 secret key", feature="artifacts", secret=True)
    region_name: str = flag("EU", "S3 region", feature="artifacts")
    s3_admin_type: str = flag(
        "generic", "Kind of S3 server", choices=("generic", "minio"), feature="artifacts"
    )
    enable_s3_proxy: bool = flag(False, "Serve presigned content through the server", feature="artifacts")
    workspace_bucket: str = flag("hypha-workspaces", "S3 bucket", feature="artifacts")
    s3_cleanup_period: int = flag(
        300, "Pause between two looks for expired files", unit="s", feature="artifacts"
    )
    enable_s3_for_anonymous_users: bool = flag(
        False,
        "Let anonymous users keep files; else their workspaces are read-only there",
        feature="artifacts",
    )
    s3_disable_proxy: bool = variable(
        True, "Ignore proxy variables for S3", "HYPHA_S3_DISABLE_PROXY", feature="artifacts"
    )
    start_minio_server: bool = flag(False, "Start a built-in MinIO", feature="the built-in MinIO")
    minio_workdir: str | None = flag(None, "Folder of the built-in MinIO", feature="the built-in MinIO")
    minio_port: int = flag(9000, "Port of the built-in MinIO", feature="the built-in MinIO")
    minio_console_port: int | None = flag(
        None, "Port of its console; port + 1 when absent", feature="the built-in MinIO"
    )
    minio_root_user: str = flag("minioadmin", "Its user", feature="the built-in MinIO")
    minio_root_password: str = flag("minioadmin", "Its password", feature="the built-in MinIO", secret=True)
    minio_version: str | None = flag(None, "Its release", feature="the built-in MinIO")
    mc_version: str | None = flag(None, "Release of its client", feature="the built-in MinIO")
    minio_file_system_mode: bool = flag(False, "Its file system mode", feature="the built-in MinIO")


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Features:
    """Features."""

    enable_admin_terminal: bool = flag(
        False, "A Python prompt inside the server for root; needs --root-token"
    )
    interactive: bool = flag(False, "A Python prompt with `app` and `store`, on this terminal")
    enable_server: bool = flag(False, "With --interactive: serve as well")
    enable_server_apps: bool = flag(False, "Apps that the server runs", feature="server apps")
    in_docker: bool = flag(False, "Run the browser without its sandbox", feature="server apps")
    disable_ssl: bool = flag(False, "Built-in workers don't check certificates", feature="server apps")
    disable_inprocess_browser_worker: bool = variable(
        False,
        "Server apps without a local browser",
        "HYPHA_DISABLE_INPROCESS_BROWSER_WORKER",
        feature="server apps",
    )
    enable_service_search: bool = flag(False, "Search services by meaning", feature="search by meaning")
    enable_mcp: bool = flag(False, "Services as MCP tools", feature="MCP")
    enable_a2a: bool = flag(False, "Services as A2A agents", feature="A2A")
    enable_k8s_worker: bool = flag(False, "Apps on Kubernetes", feature="the Kubernetes worker")
    enable_terminal_worker: bool = flag(False, "Apps in a terminal", feature="the terminal worker")
    triton_servers: str | None = flag(None, "URLs of Triton servers, separated by commas")
    disable_agent_skills: bool = flag(
        False, "No documentation for language-model tools", feature="agent skills"
    )
    ollama_host: str | None = flag(None, "Ollama server", feature="language models")
    openai_base_url: str | None = flag(None, "Server with the OpenAI interface", feature="language models")
    openai_api_key: str | None = flag(None, "Key of that server", feature="language models", secret=True)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Settings(Features, Files, Limits, Connecting, SigningIn, Storing, Serving):
    """All options, read once at start; never printed as a whole, since some are secrets."""

    @property
    def url_path(self) -> str:
        """The base path without a slash at its end; empty for none."""
        return "/" + self.base_path.strip("/") if self.base_path.strip("/") else ""

    @property
    def local_base_url(self) -> str:
        """URL of the server on its own machine."""
        return f"http://127.0.0.1:{self.port}{self.url_path}"

    @property
    def announced_base_url(self) -> str:
        """URL that clients are told: the public one, else the local one."""
        return self.public_base_url.rstrip("/") if self.public_base_url else self.local_base_url

    @property
    def inactive_features(self) -> Mapping[str, str]:
        """Path pattern -> the sentence with which its 404 answers, for features to come."""
        return {
            path: f"Not found: {name} is not active in this version of the server."
            for path, name in INACTIVE_ROUTES.items()
        }


INACTIVE_ROUTES = {
    "/s3": "S3 storage",
    "/triton": "Triton",
    "/{workspace}/artifacts": "the artifact manager",
    "/{workspace}/files": "file storage",
    "/{workspace}/git": "git",
    "/{workspace}/mcp": "MCP",
    "/{workspace}/a2a": "A2A",
    "/{workspace}/mcp-info": "MCP",
    "/{workspace}/a2a-info": "A2A",
    "/{workspace}/agent-skills": "agent skills",
    "/{workspace}/create-zip-file": "the artifact manager",
    "/{workspace}/view": "the artifact manager",
}
"""First path segments of routes that come later -> the feature's name."""


def get_argparser() -> argparse.ArgumentParser:
    """Make the argument parser of the server."""
    return build_parser(Settings, "python -m hypha.server", "Start a Hypha server.")


def load_settings(
    arguments: argparse.Namespace | None = None, environment: Mapping[str, str] | None = None
) -> tuple[Settings, list[str]]:
    """Read the settings from parsed arguments and the environment, and check them.

    The `HYPHA_…` twins of flags are read only when the arguments say `from_env`. Returns the
    settings and warnings for the log.

    Raises:
        ConfigurationError: the options contradict each other or would open access.
    """
    arguments = arguments or argparse.Namespace()
    environment = os.environ if environment is None else environment
    settings, warnings = read_options(
        Settings, arguments, environment, use_twins=bool(getattr(arguments, "from_env", False))
    )
    check_settings(settings)
    if settings.enable_admin_terminal and not settings.root_token:
        warnings.append("--enable-admin-terminal is switched off: it needs --root-token")
    inactive = inactive_flags(settings)
    if inactive:
        warnings.append(f"Not active in this version, ignored: {', '.join(inactive)}")
    return settings, warnings


def check_settings(settings: Settings) -> None:
    """Refuse options that contradict each other or would open access.

    Raises:
        ConfigurationError: with the sentence for the user.
    """
    if settings.root_token is not None:
        _check_root_token(settings.root_token)
    if settings.redis_uri and not settings.redis_uri.startswith(REDIS_SCHEMES):
        raise ConfigurationError("--redis-uri must start with redis://, rediss:// or unix://")
    if settings.start_minio_server:
        taken = [n for n in ("endpoint_url", "access_key_id", "secret_access_key") if getattr(settings, n)]
        if taken:
            named = ", ".join("--" + name.replace("_", "-") for name in taken)
            raise ConfigurationError(f"--start-minio-server makes its own {named}: give one or the other")
    if settings.workers != 1:
        raise ConfigurationError("--workers above 1 needs Redis, which is not active in this version: use 1")
    if not 0 <= settings.port <= 65535:
        raise ConfigurationError(f"--port must be from 0 to 65535, not {settings.port}")
    if any(char in settings.base_path for char in "?#{}% ") or ".." in settings.base_path:
        raise ConfigurationError(
            f"--base-path must be a plain path such as /my/engine: {settings.base_path!r}"
        )


def _check_root_token(token: str) -> None:
    if len(token) < MIN_ROOT_TOKEN_CHARS:
        raise ConfigurationError(
            f"--root-token must have at least {MIN_ROOT_TOKEN_CHARS} characters; make one with: "
            'python -c "import secrets; print(secrets.token_hex(32))"'
        )
    word = next((word for word in GUESSABLE_WORDS if word in token.lower()), None)
    if word and len(token) < STRONG_ROOT_TOKEN_CHARS:
        raise ConfigurationError(
            f"--root-token contains the guessable word {word!r} and has fewer than "
            f"{STRONG_ROOT_TOKEN_CHARS} characters: use a random one"
        )


def inactive_flags(settings: Settings) -> list[str]:
    """The given flags and variables that have no effect yet."""
    return [
        option.flag if option.is_flag else option.variables[0]
        for option in options_of(Settings)
        if option.feature and getattr(settings, option.name) != option.default
    ]


__all__ = ["OptionParser", "Settings", "check_settings", "get_argparser", "inactive_flags", "load_settings"]
