"""Connections to SQLite that go to their thread once for each statement, with all that belongs to it.

The usual driver goes there to make a cursor, to run the statement, to fetch its rows, and to close it; each
trip costs as much as a small statement itself. What begins a transaction goes along with its first statement,
and what was not begun is not rolled back.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Self

import aiosqlite

BEGIN = "BEGIN IMMEDIATE"
"""Takes the lock for writing at once: who would take it later could be refused in the middle."""

INTERRUPTED = "interrupted"
"""What SQLite says of a statement that was broken off."""

Row = Sequence[Any]


class TripCursor:
    """What a statement gave: its rows, and what `sqlite3.Cursor` tells beside them."""

    def __init__(self, connection: TripConnection) -> None:
        self._connection = connection
        self._rows: list[Row] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, operation: str, parameters: Any = ()) -> None:
        """Run a statement and fetch all its rows.

        Raises:
            sqlite3.Error: the database refuses it.
        """
        await self._connection.visit(partial(self._run, sqlite3.Cursor.execute, operation, parameters))

    async def executemany(self, operation: str, parameters: Iterable[Any]) -> None:
        """Run a statement once for each set of parameters.

        Raises:
            sqlite3.Error: see `execute`.
        """
        await self._connection.visit(partial(self._run, sqlite3.Cursor.executemany, operation, parameters))

    async def fetchall(self) -> list[Row]:
        """The rows, once."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Nothing is held in the thread."""

    def _run(
        self,
        run: Callable[[sqlite3.Cursor, str, Any], object],
        operation: str,
        parameters: Any,
        connection: sqlite3.Connection,
    ) -> None:
        self._connection.check_not_cut_off()
        cursor = connection.cursor()
        try:
            run(cursor, operation, parameters)
            self.description = cursor.description
            self._rows = cursor.fetchall() if cursor.description else []
            self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
        finally:
            cursor.close()


class TripConnection(aiosqlite.Connection):
    """A connection whose statements take one trip each; not for two at a time."""

    is_cut_off = False
    """Whether statements are refused from now on; see `cut_off`."""
    _is_begun_later = False
    _is_settled = True
    """False once somebody has gone without waiting for what the thread does."""

    def __init__(self, connector: Callable[[], sqlite3.Connection], iter_chunk_size: int) -> None:
        super().__init__(connector, iter_chunk_size)
        self.compiled: dict[Any, Any] = {}
        """Of the statements that `hypha.store.prepared` runs here, which are so many as the code names."""

    def begin_later(self) -> None:
        """Begin a transaction with the next statement, unless one is begun."""
        self._is_begun_later = not self._conn.in_transaction

    def cut_off(self) -> None:
        """Break off the statement that runs, and refuse others until a rollback or `is_cut_off` is unset."""
        self.is_cut_off = True
        self._conn.interrupt()

    def check_not_cut_off(self) -> None:
        """Refuse to run a statement after `cut_off`.

        Raises:
            sqlite3.OperationalError.
        """
        if self.is_cut_off:
            raise sqlite3.OperationalError(INTERRUPTED)

    def cursor(self) -> TripCursor:  # type: ignore[override]
        """For one statement."""
        return TripCursor(self)

    async def visit(self, job: Callable[[sqlite3.Connection], None]) -> None:
        """Do something in the thread, inside the transaction that is to be begun."""
        begins, self._is_begun_later = self._is_begun_later, False
        try:
            await self._settled(partial(_begun, self._conn, job) if begins else partial(job, self._conn))
        except asyncio.CancelledError:
            self.cut_off()  # nobody waits for it, and whoever rolls back or closes waits for the thread
            raise

    async def commit(self) -> None:
        """Commit what was begun."""
        if self._is_begun_later:
            self._is_begun_later = False
        else:
            await self._settled(self._conn.commit)

    async def rollback(self) -> None:
        """Roll back what was begun, if anything was."""
        self._is_begun_later = False
        if not self._is_settled or self._conn.in_transaction:
            await self._settled(self._conn.rollback)
        self.is_cut_off = False

    async def _settled(self, job: Callable[[], None]) -> None:
        self._is_settled = False
        try:
            await self._execute(job)  # type: ignore[no-untyped-call]
        except asyncio.CancelledError:
            raise  # the thread may be about to begin a transaction
        except Exception:
            self._is_settled = True
            raise
        self._is_settled = True


def _begun(connection: sqlite3.Connection, job: Callable[[sqlite3.Connection], None]) -> None:
    connection.execute(BEGIN).close()
    job(connection)


def connect(database: str, **options: Any) -> TripConnection:
    """A connection that opens when it is awaited, with the options of `sqlite3.connect`."""
    made = TripConnection(partial(sqlite3.connect, database, **options), 64)
    made._thread.daemon = True  # as SQLAlchemy does with connections that it makes
    return made
