"""Engines: from a database URI to connections that keep our promises about durability."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from hypha.errors import BackendUnavailable, ConfigurationError, HyphaError, InvalidRequest
from hypha.store import sqlite_trips
from hypha.store.sqlite_trips import TripConnection
from hypha.wire.decodable import made_decodable, may_be_odd

WRITES = "hypha_writes"
BUSY_TIMEOUT_S = 5.0
_BUSY_PAUSE_S = 0.01
_POOL_SIZE = _POOL_MORE = 10
_SQLITE_POOL_SIZE = 4
ANSWER_TIMEOUT_S = 10.0
_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


def _from_json(value: Any) -> Any:
    """Read a JSON column; SQLite itself turns the text of a bare number into that number.

    What was written before it was checked whether others can decode it is made so.
    """
    if isinstance(value, int | float):
        return value
    found = orjson.loads(value)
    return made_decodable(found) if may_be_odd(value) else found


_JSON: Mapping[str, Any] = {
    "json_serializer": lambda value: orjson.dumps(value).decode(),
    "json_deserializer": _from_json,
}
_SQLITE_OPTIONS = frozenset(
    "cached_statements check_same_thread detect_types isolation_level timeout uri".split()
)
_SQLITE_URI_OPTIONS = _SQLITE_OPTIONS | frozenset("cache immutable mode nolock psow vfs".split())
MEMORY_URI = "sqlite+aiosqlite:///:memory:"


def parse_uri(uri: str | URL) -> URL:
    """Read a database URI and choose its driver.

    Raises:
        ConfigurationError: not a URI, or of a database that isn't supported. The text never
            repeats the URI, which may hold a password.
    """
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "The database URI cannot be read: use sqlite+aiosqlite:///<path> or "
            "postgresql+asyncpg://<user>:<password>@<host>/<name>."
        ) from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise ConfigurationError(
            f"The database '{url.drivername}' is not supported: use sqlite+aiosqlite:///<path> or "
            "postgresql+asyncpg://<user>:<password>@<host>/<name>."
        )
    if driver.startswith("sqlite") and isinstance(uri, str):
        _check_sqlite_options(uri, "uri" in url.query)
    return url.set(drivername=driver)


def _check_sqlite_options(uri: str, is_sqlite_uri: bool) -> None:
    """Refuse a path with a question mark, which would lose its end; SQLAlchemy drops what has no `=`."""
    query = uri.partition("?")[2]
    names = {piece.partition("=")[0] for piece in query.split("&") if query}
    if not names <= (_SQLITE_URI_OPTIONS if is_sqlite_uri else _SQLITE_OPTIONS):
        raise ConfigurationError(
            "The database URI has options that SQLite does not know. If its path holds a question mark, "
            "write %3F for it, and %25 for a percent sign."
        )


def is_memory(url: URL) -> bool:
    """True for a SQLite database that lives in memory."""
    return url.get_backend_name() == "sqlite" and (url.database or ":memory:") == ":memory:"


def side_by_side(url: URL) -> int:
    """How many read at a time, and how many write where the database lets several: there is room for both."""
    if url.get_backend_name() != "sqlite":
        return (_POOL_SIZE + _POOL_MORE) // 2 - 1
    return 1 if is_memory(url) else _SQLITE_POOL_SIZE - 1


def make_engine(url: URL) -> AsyncEngine:
    """Make an engine; nothing is opened yet.

    SQLite: WAL, every commit flushed to disk, foreign keys on, and transactions begun by ourselves
    (the driver's own habit leaves table changes outside of them).

    Raises:
        ConfigurationError: the driver of the database isn't installed.
    """
    if url.get_backend_name() == "sqlite":
        return _sqlite(url)
    try:
        return create_async_engine(
            url,
            pool_size=_POOL_SIZE,
            max_overflow=_POOL_MORE,
            pool_pre_ping=True,
            pool_timeout=ANSWER_TIMEOUT_S,
            connect_args={"timeout": ANSWER_TIMEOUT_S, "command_timeout": ANSWER_TIMEOUT_S},
            **_JSON,
        )
    except (ImportError, NoSuchModuleError):
        raise ConfigurationError(
            "PostgreSQL needs its driver, which is not installed: pip install 'hypha-server[postgres]'."
        ) from None


def _sqlite(url: URL) -> AsyncEngine:
    arguments = {"timeout": BUSY_TIMEOUT_S, "async_creator_fn": sqlite_trips.connect}
    options: dict[str, Any] = {"connect_args": arguments, **_JSON}
    if is_memory(url):
        options["poolclass"] = StaticPool
    else:
        options |= {"pool_size": _SQLITE_POOL_SIZE, "max_overflow": 0, "pool_timeout": 30}
        _make_private_file(Path(url.database or ""))
    engine = create_async_engine(url, **options)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _make_private_file(path: Path) -> None:
    """Make the file of a new database, which only its owner may read, as SQLite's other files then.

    Raises:
        ConfigurationError: its folder doesn't exist, or the file cannot be made there.
    """
    if str(path).startswith("file:"):
        return
    try:
        if not path.parent.is_dir():
            raise ConfigurationError(f"The folder of the database does not exist: {path.parent}")
        if not path.exists():
            path.touch(mode=0o600)
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"The database {path} cannot be made ({reason.lower()})") from error


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_S * 1000)}")
    _write_ahead(connection, cursor)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _write_ahead(connection: Any, cursor: Any) -> None:
    """Switch to write-ahead logging, which lasts in the file.

    SQLite's own waiting does not cover this one statement: it upgrades a lock, and fails at once while
    another connection that opens the new file is at the same.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        connection.run_async(lambda _: asyncio.sleep(_BUSY_PAUSE_S))


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once where something is written; a read needs no transaction."""
    if connection.get_execution_options().get(WRITES):
        driven = connection.connection.driver_connection
        assert isinstance(driven, TripConnection)
        driven.begin_later()


@contextlib.asynccontextmanager
async def limited(connection: AsyncConnection, limit_s: float) -> AsyncIterator[None]:
    """Let statements of a connection that reads take so long inside, then break them off (`is_cut_off`)."""
    if connection.dialect.name == "postgresql":  # the limit goes with the transaction
        await connection.execute(text(f"SET LOCAL statement_timeout = {int(limit_s * 1000)}"))
        yield
        return
    driven = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driven, TripConnection)
    timer = asyncio.get_running_loop().call_later(limit_s, driven.cut_off)
    try:
        yield
    finally:
        timer.cancel()
        driven.is_cut_off = False


def is_cut_off(error: DBAPIError) -> bool:
    """Whether a statement took longer than it may."""
    told = str(error.orig).lower()
    return told == sqlite_trips.INTERRUPTED or "due to statement timeout" in told


def translated(error: BaseException) -> HyphaError:
    """The error that users see for a fault of the database: no SQL, no path, no password."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    told = str(cause).lower()
    if isinstance(error, DataError | UnicodeError) or any(word in told for word in _BAD_TEXT):
        return InvalidRequest("The value cannot be stored: it holds characters that no database takes.")
    if isinstance(error, OverflowError) or any(word in told for word in _BAD_TYPE):
        return InvalidRequest("A value is of a type or size that cannot be stored or looked for.")
    if isinstance(error, PoolTimeout):
        return BackendUnavailable(_BUSY)
    for words, sentence in _FAULTS:
        if any(word in told for word in words):
            return BackendUnavailable(sentence)
    if isinstance(cause, sqlite3.Error):
        return BackendUnavailable("The database file cannot be opened: tell the operator.")
    return BackendUnavailable(_SILENT)


def takes_time(fault: BackendUnavailable) -> bool:
    """Whether such a fault shows only after waiting."""
    return fault.message in (_BUSY, _SILENT)


_BUSY = "The database is busy: nothing was changed, please try again."
_SILENT = "The database does not answer: see whether your change was made, and try again."
_BAD_TYPE = (
    "error binding parameter",
    "probably unsupported type",
    "invalid input for query argument",
    "operator does not exist",
    "index row",  # it "exceeds … maximum" or "requires … bytes": what is to be found by it is too long
)
_BAD_TEXT = ("invalid byte sequence", "\\u0000", "codec can't encode")
_FAULTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("locked", "busy"), _BUSY),
    (("readonly", "read-only"), "The database is read-only: nothing was changed, tell the operator."),
    (("full", "no space"), "The disk of the database is full: nothing was changed, tell the operator."),
    (
        ("disk i/o", "malformed", "not a database"),
        "The database file cannot be read or written: tell the operator.",
    ),
    (
        ("no such table", "does not exist"),
        "The database, or a table of this server in it, is missing: tell the operator.",
    ),
)
