"""What a replica owns in the database, for as long as its lease lasts.

Temporary workspaces and subscriptions are deleted when their clients don't come back: by the replica that
answers for them, whose row among the replicas they name. When that row goes, the database itself lets them
name none (ON DELETE SET NULL), and takes no new ones that name it (foreign key). So a replica that was frozen
until its lease was ended can neither delete nor write what another has taken over, whatever it believes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from sqlalchemy import Float, delete, insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from hypha.errors import BackendUnavailable, LeaseLost
from hypha.store.repository import Connections, Repository
from hypha.store.tables import Replica

logger = logging.getLogger(__name__)

LEASE_S = 30.0
RENEW_EVERY_S = 10.0
LOST_TEXT = "Another server has taken over from this one: nothing was changed, connect again and repeat it."


class now(FunctionElement[float]):
    """The time of the database (Unix seconds), when the statement runs: replicas' own clocks may differ."""

    type = Float()
    inherit_cache = True


@compiles(now, "sqlite")
def _sqlite_now(element: now, compiler: Any, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _postgres_now(element: now, compiler: Any, **_: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


class Lease(Repository):
    """The row of this replica.

    Args:
        renews: False where a lock of the operating system shows who lives, and no time need be told.
    """

    def __init__(self, connections: Connections, *, renews: bool) -> None:
        super().__init__(connections)
        self._renews = renews
        self.replica: int | None = None
        """The id of the row, later ones larger: a fencing token. None: no server, and nothing is owned."""

    async def take(self, name: str, address: str) -> None:
        """Enter this replica; nothing may be written for it before."""
        row = {"name": name, "address": address, "expires_at": now() + LEASE_S if self._renews else None}
        async with self._connections.writing() as connection:
            made = await connection.execute(insert(Replica).values(**row).returning(Replica.id))
            self.replica = int(made.scalar_one())

    async def renew(self) -> bool:
        """Let the lease last from now on; False if it was ended, and with it what this replica owned."""
        statement = update(Replica).where(Replica.id == self.replica).values(expires_at=now() + LEASE_S)
        async with self._connections.writing() as connection:
            return bool((await connection.execute(statement)).rowcount)

    async def end_lapsed(self) -> int:
        """End the leases of other replicas that were not renewed in time; how many there were."""
        lapsed = delete(Replica).where(Replica.id.is_distinct_from(self.replica), Replica.expires_at < now())
        async with self._connections.writing() as connection:
            return int((await connection.execute(lapsed)).rowcount)

    async def end_others(self) -> None:
        """End all others' leases; for the one server that has the claim on the database."""
        async with self._connections.writing() as connection:
            await connection.execute(delete(Replica).where(Replica.id.is_distinct_from(self.replica)))

    async def keep(self, lost: Callable[[], None]) -> None:
        """Renew the lease again and again; `lost` is called once another has ended it."""
        while self._renews:
            await asyncio.sleep(RENEW_EVERY_S)
            try:
                if await self.renew():
                    continue
            except BackendUnavailable:
                continue  # whether it was ended shows once the database answers
            logger.critical("Another server has taken over what this one owned in the database: it stops")
            lost()
            return

    async def release(self) -> None:
        """End the lease: what this replica owned is there for others at once."""
        replica, self.replica = self.replica, None
        if replica is not None:
            async with self._connections.writing() as connection:
                await connection.execute(delete(Replica).where(Replica.id == replica))


@contextlib.asynccontextmanager
async def owning() -> AsyncIterator[None]:
    """Around a statement that writes rows for a replica.

    Raises:
        LeaseLost: its lease has ended.
    """
    try:
        yield
    except IntegrityError as error:
        if "foreign key" not in str(error.orig).lower():
            raise
        raise LeaseLost(LOST_TEXT) from error
