"""Connections to SQLite that stay open: to take one from a pool costs as much as a small statement."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hypha.store.prepared import driven_by, told


class KeptConnections:
    """As many as were used at the same time; one whose use ended with an error goes back to the pool."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._idle: list[AsyncConnection] = []

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """One of them; what was done in it and not committed is taken back."""
        async with self._taken() as connection:
            yield connection
            if connection.in_transaction():
                await connection.rollback()

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """One of them, in a transaction that is committed at the end; it ends with its use after an error.

        SQLAlchemy begins and commits one of its own only where a statement goes its way.
        """
        async with self._taken() as connection:
            driven = driven_by(connection)
            driven.begin_later()
            yield connection
            if connection.in_transaction():
                await connection.commit()
            else:
                with told(connection):
                    await driven.commit()

    @contextlib.asynccontextmanager
    async def _taken(self) -> AsyncIterator[AsyncConnection]:
        connection = self._idle.pop() if self._idle else await self._engine.connect()
        is_good = False
        try:
            yield connection
            is_good = not connection.invalidated
        finally:
            if is_good:
                self._idle.append(connection)
            else:
                await asyncio.shield(connection.close())

    async def close(self) -> None:
        """Give all back."""
        while self._idle:
            await self._idle.pop().close()
