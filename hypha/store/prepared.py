"""Statements that are made once, compiled once for each connection, and run on SQLite without detours.

To build and to compile a statement takes longer than to run it, and SQLAlchemy's way through an asynchronous
connection to SQLite takes three times as long as its synchronous one. These go to the thread of the
connection once, also several together. Other databases, and whoever listens, get the usual way.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.engine import Connection, IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler

from hypha.store.sqlite_trips import Row, TripConnection

Values = Mapping[str, Any] | list[dict[str, Any]]
"""Those of one run of a statement, or of several runs with the same names."""


class Prepared:
    """A statement that its module makes once; its parameters have names, and none is a list.

    Args:
        made: the statement, or what makes it for a database, `sqlite` or `postgresql`.
    """

    def __init__(self, made: Executable | Callable[[str], Executable]) -> None:
        self._made = made
        self._by_database: dict[str, Executable] = {}

    def statement(self, database: str) -> Executable:
        """The statement for a database."""
        if isinstance(self._made, Executable):
            return self._made
        if database not in self._by_database:
            self._by_database[database] = self._made(database)
        return self._by_database[database]

    async def run(self, connection: AsyncConnection, values: Values | None = None) -> Any:
        """Run it; a result as SQLAlchemy's, with `rowcount`.

        Raises:
            DBAPIError.
        """
        return (await together(connection, (self, values)))[0]


Step = tuple[Prepared, Values | None]


class Fetched(IteratorResult[*tuple[Any, ...]]):
    """The rows that a statement gave, and how many it changed."""

    def __init__(self, metadata: SimpleResultMetaData, rows: Sequence[Row], rowcount: int) -> None:
        super().__init__(metadata, iter(rows))
        self.rowcount = rowcount


async def together(connection: AsyncConnection, *steps: Step) -> list[Any]:
    """Run statements one after the other, where none needs to know what came of another; the results.

    Raises:
        DBAPIError: one failed; those before it have run.
    """
    sync = connection.sync_connection
    assert sync is not None
    if sync.dialect.name != "sqlite" or sync.engine.dispatch.before_cursor_execute:
        name = sync.dialect.name
        return [await connection.execute(each.statement(name), values) for each, values in steps]
    driven = driven_by(connection)
    trip = _Trip(sync, driven, steps)
    with told(connection):
        await driven.visit(trip.go)
    return trip.results


def driven_by(connection: AsyncConnection) -> TripConnection:
    """What a connection to SQLite drives."""
    assert connection.sync_connection is not None
    driven = connection.sync_connection.connection.driver_connection
    assert isinstance(driven, TripConnection)
    return driven


@contextlib.contextmanager
def told(connection: AsyncConnection) -> Iterator[None]:
    """Errors of SQLite as SQLAlchemy tells them."""
    try:
        yield
    except sqlite3.Error as error:
        raise DBAPIError.instance(None, None, error, sqlite3.Error, dialect=connection.dialect) from error


class _Compiled:
    """A statement for values of certain names, as SQLite takes it."""

    __slots__ = ("_binds", "metadata", "sql")

    def __init__(self, made: SQLCompiler, dialect: Any) -> None:
        if made.insert_prefetch or made.update_prefetch or made.post_compile_params:
            raise TypeError(f"such a statement cannot be prepared: {made}")
        self.sql = made.string
        binds = {name: bind for bind, name in made.bind_names.items()}
        self._binds: list[tuple[str | None, Any, Callable[[Any], Any] | None]] = []
        """For each parameter the name of its value, or none and the value; and what makes it fit."""
        for name in made.positiontup or ():
            bind, process = binds[name], made._bind_processors.get(name)
            assert process is None or callable(process)
            self._binds.append((bind.key if bind.required else None, bind.value, process))
        columns = made._result_columns
        read = [column.type._cached_result_processor(dialect, None) for column in columns]
        self.metadata = SimpleResultMetaData([column.keyname for column in columns], _processors=read)

    def bound(self, values: Mapping[str, Any]) -> list[Any]:
        """Values in the order of the parameters.

        Raises:
            KeyError: one is missing.
        """
        found = []
        for name, value, process in self._binds:
            if name is not None:
                value = values[name]
            found.append(value if process is None else process(value))
        return found


class _Trip:
    """Statements with their values, on their way to the thread and back."""

    def __init__(self, connection: Connection, driven: TripConnection, steps: Sequence[Step]) -> None:
        self.results: list[Fetched] = []
        self._driven = driven
        self._jobs: list[tuple[_Compiled, Any, Any]] = []
        for prepared, values in steps:
            if isinstance(values, list):
                compiled = self._compiled(connection, prepared, tuple(values[0]), True)
                bound = [compiled.bound(each) for each in values]
                self._jobs.append((compiled, sqlite3.Cursor.executemany, bound))
            else:
                compiled = self._compiled(connection, prepared, tuple(values or ()), False)
                self._jobs.append((compiled, sqlite3.Cursor.execute, compiled.bound(values or {})))

    def _compiled(
        self, connection: Connection, prepared: Prepared, names: tuple[str, ...], is_many: bool
    ) -> _Compiled:
        known, dialect = (prepared, names, is_many), connection.dialect
        found: _Compiled | None = self._driven.compiled.get(known)
        if found is None:
            statement: Any = prepared.statement(dialect.name)
            made = statement.compile(dialect=dialect, column_keys=sorted(names), for_executemany=is_many)
            found = self._driven.compiled[known] = _Compiled(made, dialect)
        return found

    def go(self, database: sqlite3.Connection) -> None:
        """Run them, in the thread.

        Raises:
            sqlite3.Error: one is refused.
        """
        self._driven.check_not_cut_off()
        cursor = database.cursor()
        try:
            for compiled, run, bound in self._jobs:
                run(cursor, compiled.sql, bound)
                rows = cursor.fetchall() if cursor.description else ()
                self.results.append(Fetched(compiled.metadata, rows, cursor.rowcount))
        finally:
            cursor.close()
