"""A database that the reference implementation wrote: its tables are set aside, for features to take over.

They keep their rows under names of their own, so that nothing of them is lost.
"""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

REVISION = "9096f050eb04"
"""The one revision that it has."""
ASIDE = "reference_"
"""Begins the names of its tables from then on."""
TABLES = ("artifacts", "event_logs")


def wrote(connection: Connection, revision: str | None) -> bool:
    """Whether the reference made a database: it says so, or has its tables and none of ours."""
    if revision is not None:
        return revision == REVISION
    found = inspect(connection)
    return found.has_table("artifacts") and not found.has_table("workspaces")


def set_aside(connection: Connection) -> None:
    """Rename its tables, in the caller's transaction, and leave the rest as for a new database."""
    found = inspect(connection)
    if found.has_table("alembic_version"):
        connection.execute(text("DROP TABLE alembic_version"))
    for table in TABLES:
        if found.has_table(table):
            _free_names(connection, table)
            connection.execute(text(f"ALTER TABLE {table} RENAME TO {ASIDE}{table}"))


def is_set_aside(connection: Connection, table: str) -> bool:
    """Whether there is a table of it that no feature took over yet."""
    return inspect(connection).has_table(f"{ASIDE}{table}")


def _free_names(connection: Connection, table: str) -> None:
    """Let no index of a table have a name that one of ours may have."""
    if connection.dialect.name == "postgresql":
        query = text(
            "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = :table"
        )
        for (name,) in connection.execute(query, {"table": table}).all():
            connection.execute(text(f'ALTER INDEX "{name}" RENAME TO "{ASIDE}{name}"'))
        return
    query = text(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = :table"
    )
    for (name,) in connection.execute(query, {"table": table}).all():
        connection.execute(text(f'DROP INDEX "{name}"'))
