"""The shape of the database: made in one step when new, migrated when old.

Alembic takes a third of a second to import, so it is only loaded when there is something to migrate.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from hypha.errors import ConfigurationError
from hypha.store import reference
from hypha.store.base import Base

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0023"
"""The newest revision in `migrations/versions`; a test compares the two."""

_VERSION_TABLE = "alembic_version"
_LOCK_NUMBER = 0x48797068  # "Hyph"


def prepare(connection: Connection) -> None:
    """Bring the database to the newest shape, inside the caller's transaction.

    Two servers that start at once wait for each other: SQLite by its write lock, PostgreSQL by an
    advisory lock that ends with the transaction. Tables that are declared and still not there after the
    migrations are made: all those of a new database, and those of a feature that was not here before.

    Raises:
        ConfigurationError: the database was written by a newer version of the server.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK_NUMBER})
    current = revision(connection)
    if reference.wrote(connection, current):
        reference.set_aside(connection)
        current = None
    if current is None and not inspect(connection).has_table("workspaces"):
        connection.execute(
            text(f"CREATE TABLE {_VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        )
        connection.execute(text(f"INSERT INTO {_VERSION_TABLE} VALUES (:head)"), {"head": HEAD})
    elif current != HEAD:
        _migrate(connection, current)
    _make_missing(connection)


def _make_missing(connection: Connection) -> None:
    there = set(inspect(connection).get_table_names())
    missing = [table for table in Base.metadata.sorted_tables if table.name not in there]
    Base.metadata.create_all(connection, missing, checkfirst=False)


def revision(connection: Connection) -> str | None:
    """The revision that the database has, or None."""
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalar()
    return str(found) if found is not None else None


def is_known(connection: Connection) -> bool:
    """Whether the database has tables of this version or an older one; False if it has none.

    Raises:
        ConfigurationError: the database was written by a newer version of the server.
    """
    current = revision(connection)
    if current is not None and current.isdigit() and int(current) > int(HEAD):
        raise _too_new(current)
    return current is not None


def _too_new(current: str) -> ConfigurationError:
    return ConfigurationError(
        f"The database has revision {current}, which this version of the server does not know: "
        "it was written by a newer version. Start that version, or use another database."
    )


def migrations_of(connection: Connection) -> Config:
    """What Alembic needs to know to run our migrations on a connection."""
    from alembic.config import Config

    config = Config()
    folder = str(Path(__file__).parent / "migrations").replace("%", "%%")  # a mark of the format of options
    config.set_main_option("script_location", folder)
    config.attributes["connection"] = connection
    return config


def _migrate(connection: Connection, current: str | None) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = migrations_of(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise _too_new(current)
    command.upgrade(config, "head")
