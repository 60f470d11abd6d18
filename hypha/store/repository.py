"""What all repositories share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.store.base import Base


class Connections(Protocol):
    """Where a repository gets its connections from."""

    @property
    def replica(self) -> int | None:
        """The replica that answers for what is written; None where no server runs."""

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection to read from."""

    def listing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """The same for statements that find by an index what they show; broken off when they take long."""

    def searching(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """The same for statements that may look through much, one of a party at a time."""

    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection inside a transaction."""


class Repository:
    """One kind of record; every method is one round trip or one transaction."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections


def encoded_size(value: Any) -> int:
    """Bytes of plain data as JSON."""
    return len(orjson.dumps(value))


def insert(connection: AsyncConnection, model: type[Base]) -> Any:
    """An INSERT that can say what to do on conflict, for the dialect of the connection."""
    return insert_for(connection.dialect.name, model)


def insert_for(database: str, model: type[Base]) -> Any:
    """The same for a database, `sqlite` or `postgresql`."""
    if database == "postgresql":  # each is imported where it is used: they are large
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(model)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(model)


async def upsert(
    connection: AsyncConnection, model: type[Base], values: Mapping[str, Any], keys: Sequence[str]
) -> None:
    """Insert a row, or set the given fields of the one that has the same keys."""
    statement = insert(connection, model)
    changes = {name: statement.excluded[name] for name in values if name not in keys}
    await connection.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=changes), values)


async def insert_if_absent(connection: AsyncConnection, model: type[Base], values: Mapping[str, Any]) -> bool:
    """Insert a row unless its key is taken; True if it was inserted."""
    result = await connection.execute(insert(connection, model).on_conflict_do_nothing(), values)
    return bool(result.rowcount == 1)
