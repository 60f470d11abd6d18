"""The right to be the only server on a database.

At its start a server deletes what no client of its own will come back to: beside a second one that would be
the other's data. Until servers can share a database, the second is refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import URL, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hypha.errors import ConfigurationError
from hypha.filelock import FileLock, InUse

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
PATIENCE_S = 5.0
"""A server that was killed a moment ago may still seem to be there."""
_PAUSE_S = 0.25
_KEY = 0x68797068612D6462
_NAME = "hypha-server"
_HOLDER = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted "
    f"AND ((classid::bigint << 32) | objid::bigint) = {_KEY} "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_PREPARE = (
    f"SET application_name = '{_NAME}'",
    # a holder whose machine is gone must not keep the claim for the two hours of the system's default
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)


class Claim:
    """Held by a lock on a file beside a SQLite database, or by a session of PostgreSQL (advisory lock)."""

    def __init__(self, url: URL, engine: AsyncEngine, shown: str) -> None:
        self._url = url
        self._engine = engine
        self._shown = shown
        self._lock: FileLock | None = None
        """Of a SQLite file."""
        self._session: AsyncConnection | None = None
        """Of PostgreSQL: the claim lasts as long as it does."""
        self._backend: int | None = None
        """The process of PostgreSQL that serves, or served, the session."""

    async def take(self, holder: str) -> None:
        """Claim the database. `holder` is the address of this server.

        Raises:
            ConfigurationError: another server has it. SQLAlchemyError, OSError: no answer.
        """
        if self._url.get_backend_name() == "sqlite":
            self._take_file(holder)
            return
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while not await self._take_session():
            if asyncio.get_running_loop().time() > deadline:
                raise self._in_use("another server")
            await asyncio.sleep(_PAUSE_S)

    def _take_file(self, holder: str) -> None:
        path = Path(self._url.database or "").resolve()
        if str(self._url.database).startswith("file:"):
            return
        try:
            self._lock = FileLock.take(path.with_name(f"{path.name}-lock"), holder)
        except InUse as taken:
            raise self._in_use(taken.holder) from None

    def _in_use(self, holder: str) -> ConfigurationError:
        return ConfigurationError(
            f"The database {self._shown} is in use: {holder} is already running with it. Stop it, "
            "or choose another database with --database-uri"
        )

    async def _take_session(self) -> bool:
        session, is_ours = await self._engine.connect(), False
        try:
            session = await session.execution_options(isolation_level="AUTOCOMMIT")
            for statement in _PREPARE:
                await session.execute(text(statement))
            is_taken = bool(await session.scalar(text(f"SELECT pg_try_advisory_lock({_KEY})")))
            if is_taken:
                self._backend = await session.scalar(text("SELECT pg_backend_pid()"))
                self._session = session
            elif self._backend is not None:  # our broken session may be there until PostgreSQL notices
                is_ours = await session.scalar(text(_HOLDER)) == self._backend
        finally:
            if self._session is not session:
                await _end(session)
        if is_ours:
            raise TimeoutError
        return is_taken

    async def keep(self, lost: Callable[[], None]) -> None:
        """Take the claim again whenever its session broke; `lost` is called once another server has it."""
        while self._url.get_backend_name() != "sqlite":
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                if self._session is not None:
                    await self._session.execute(text("SELECT 1"))
                elif await self._take_session():
                    logger.warning("The claim on the database is held again")
                else:
                    logger.critical("Another server has taken the database %s: this one stops", self._shown)
                    lost()
                    return
            except (SQLAlchemyError, OSError, TimeoutError):
                await self._drop()

    async def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await _end(session)

    async def close(self) -> None:
        """Give the claim back; after all else that uses the database."""
        await self._drop()
        if self._lock is not None:
            self._lock.close()
            self._lock = None


async def _end(session: AsyncConnection) -> None:
    """End a session for good: it must not serve others from the pool."""
    try:
        await session.invalidate()
        await session.close()
    except (SQLAlchemyError, OSError):
        logger.debug("The session of the claim was broken already", exc_info=True)
