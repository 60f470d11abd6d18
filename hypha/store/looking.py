"""Looking into a database that a server may be using, without making or changing anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from hypha.errors import ConfigurationError
from hypha.store import schema
from hypha.store.sql import Store

Question = Callable[[Connection], bool]
"""Asked of a database; its tables may be those of an older server, or not be there."""
_NEEDS_WRITING = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_BUSY")


async def look(uri: str, question: Question) -> bool:
    """The answer of a database that is reached over the network.

    Raises:
        ConfigurationError: the URI cannot be used, or a newer version of the server wrote the database.
        BackendUnavailable: the database does not answer.
    """
    store = Store(uri)
    try:
        async with store.reading() as connection:
            return await connection.run_sync(_asked, question)
    finally:
        await store.close()


def look_into_file(file: Path, question: Question) -> bool | None:
    """The answer of a SQLite file; None where its last writer crashed, so that looking would change it.

    Raises:
        ConfigurationError: it is no database, cannot be read, or a newer version of the server wrote it.
    """
    is_in_use = file.with_name(f"{file.name}-wal").exists()
    address = f"file:{quote(str(file.absolute()))}?mode=ro" + ("" if is_in_use else "&immutable=1")
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool
    )
    try:
        with engine.connect() as connection:
            return _asked(connection, question)
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None)
        if is_in_use and str(getattr(cause, "sqlite_errorname", "")).startswith(_NEEDS_WRITING):
            return None
        raise ConfigurationError(
            f"The database {file} cannot be read ({cause or type(error).__name__})"
        ) from None
    finally:
        engine.dispose()


def _asked(connection: Connection, question: Question) -> bool:
    if not schema.is_known(connection):
        return False
    try:
        return question(connection)
    except SQLAlchemyError:  # of a version before the tables that are asked
        return False
