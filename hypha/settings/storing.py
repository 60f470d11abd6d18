"""Where the server keeps what lasts, and what replicas share."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.options import flag, variable


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
        "Redis that replicas share, as redis://, rediss:// or unix://; unfinished",
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
    executable_path: str = flag("bin", "Program, or folder of programs, that `--start-minio-server` runs")
