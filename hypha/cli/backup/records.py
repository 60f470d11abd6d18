"""The records of a backup: a SQLite file with the tables of the server, whatever database it has."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Column, Connection, Engine, Integer, Table, create_engine, func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from hypha.errors import ConfigurationError
from hypha.settings import Settings
from hypha.store import engines, schema
from hypha.store.base import Base

ROWS = 1000
_FILE = "hypha.sqlite"


def place_of(settings: Settings, folder: Path | None) -> Path | str:
    """The SQLite file of the settings, or the URI of another database.

    Raises:
        ConfigurationError: the database is in memory alone.
    """
    if settings.database_uri:
        url = engines.parse_uri(settings.database_uri)
        if url.get_backend_name() != "sqlite":
            return settings.database_uri
        file = None if engines.is_memory(url) else Path(url.database or "")
    else:
        file = None if folder is None else folder / _FILE
    if file is None or str(file).startswith("file:"):
        raise ConfigurationError("A server that keeps nothing has nothing to be backed up.")
    return file


async def take_out(place: Path | str, target: Path) -> None:
    """Write one state of the database into a new file.

    Raises:
        ConfigurationError: it cannot be read, or is of another version.
    """
    if isinstance(place, Path):
        await asyncio.to_thread(_copy_file, place, target)
    else:
        await _with_database(place, lambda connection: _copy_into_file(connection, target))
    with opened(target) as found, found.begin() as connection:
        if schema.revision(connection) != schema.HEAD:
            raise ConfigurationError(
                "The database is of an older version of the server: start this version once, then back up."
            )


async def put_in(source: Path, place: Path | str, *, replaces: bool) -> None:
    """Fill an empty database from a file that `take_out` wrote; tables of an older version are migrated.

    Args:
        source: is changed.
        replaces: a SQLite file that is there is one of a restore that was killed.

    Raises:
        ConfigurationError: the database is not empty, or cannot be written.
    """
    with opened(source) as found, found.begin() as connection:
        schema.prepare(connection)
    if not isinstance(place, Path):
        await _with_database(place, lambda connection: _fill(source, connection))
        return
    await asyncio.to_thread(_put_file, source, place, replaces)


def _put_file(source: Path, place: Path, replaces: bool) -> None:
    if place.exists() and not replaces and not is_empty(place):
        raise ConfigurationError(f"The database {place} is not empty: name another, or delete it.")
    source.chmod(0o600)
    for suffix in ("-wal", "-shm"):
        place.with_name(place.name + suffix).unlink(missing_ok=True)
    with source.open("rb") as file:
        os.fsync(file.fileno())
    shutil.move(source, place)


def is_empty(file: Path) -> bool:
    """Whether a SQLite file has no tables."""
    with sqlite3.connect(file) as connection:
        return not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()


def _copy_file(place: Path, target: Path) -> None:
    """SQLite's own way: one state of the file, also while others write to it."""
    if not place.exists():
        raise ConfigurationError(f"There is no database {place}: has a server run with these settings?")
    address = f"file:{quote(str(place))}?mode=ro"
    try:
        source, copy = sqlite3.connect(address, uri=True, timeout=60), sqlite3.connect(target)
        try:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        finally:
            source.close()
            copy.close()
    except sqlite3.Error as error:
        raise ConfigurationError(f"The database {place} cannot be read ({error}).") from None


async def _with_database(uri: str, work: Callable[[Connection], None]) -> None:
    """Do something in one transaction of a database that is reached over the network."""
    engine = engines.make_engine(engines.parse_uri(uri))
    try:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            async with connection.begin():
                await connection.run_sync(work)
    except (SQLAlchemyError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        raise ConfigurationError(f"The database cannot be used ({type(cause).__name__}: {cause}).") from None
    finally:
        await engine.dispose()


class opened:
    """A SQLite file for as long as a block runs."""

    def __init__(self, file: Path) -> None:
        self._engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(file))

    def __enter__(self) -> Engine:
        return self._engine

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()


def _copy_into_file(source: Connection, target: Path) -> None:
    if schema.revision(source) != schema.HEAD:
        raise ConfigurationError(
            "The database is of an older version of the server: start this version once, then back up."
        )
    with opened(target) as engine, engine.begin() as copy:
        schema.prepare(copy)
        for table in Base.metadata.sorted_tables:
            for rows in _rows(source, table):
                copy.execute(insert(table), rows)


def _fill(source: Path, target: Connection) -> None:
    schema.prepare(target)
    for table in Base.metadata.sorted_tables:
        if target.execute(select(table).limit(1)).first() is not None:
            raise ConfigurationError("The database is not empty: name another one.")
    with opened(source) as engine, engine.connect() as found:
        for table in Base.metadata.sorted_tables:
            _fill_table(found, target, table)


def _fill_table(source: Connection, target: Connection, table: Table) -> None:
    """Copy rows; those that name others of their table do so when all are there."""
    inward = [column for column in table.columns if _leads_inward(column)]
    keys = list(table.primary_key.columns)
    for rows in _rows(source, table):
        target.execute(insert(table), [{**row, **{each.name: None for each in inward}} for row in rows])
    for column in inward:
        for rows in _rows(source, table):
            for row in rows:
                if row[column.name] is not None:
                    same = [key == row[key.name] for key in keys]
                    target.execute(table.update().where(*same).values({column: row[column.name]}))
    counted = table.autoincrement_column
    if counted is not None and isinstance(counted.type, Integer):
        _count_on(target, table, counted)


def _count_on(target: Connection, table: Table, column: Column[Any]) -> None:
    """Let numbers that the database gives begin behind those that are there."""
    place = target.execute(
        text("SELECT pg_get_serial_sequence(:table, :column)"), {"table": table.name, "column": column.name}
    ).scalar()
    last = target.execute(select(func.max(column))).scalar()
    if place and last:
        target.execute(text("SELECT setval(:place, :last)"), {"place": place, "last": last})


def _leads_inward(column: Column[Any]) -> bool:
    return any(key.column.table is column.table for key in column.foreign_keys)


def _rows(source: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    found = source.execution_options(yield_per=ROWS).execute(select(table))
    for rows in found.mappings().partitions(ROWS):
        yield [dict(row) for row in rows]
