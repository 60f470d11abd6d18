"""Subscriptions of clients, so that a restart of the server doesn't end them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import and_, delete, or_, select

from hypha.store.repository import Repository, upsert
from hypha.store.tables import Subscription

_AT_ONCE = 200


class Subscriptions(Repository):
    """One row per client."""

    async def put(self, workspace: str, client_id: str, names: Collection[str]) -> None:
        """Write what a client listens to; an empty collection deletes the row."""
        if not names:
            await self.remove([(workspace, client_id)])
            return
        row = {"workspace": workspace, "client_id": client_id, "names": sorted(names)}
        async with self._connections.writing() as connection:
            await upsert(connection, Subscription, row, ("workspace", "client_id"))

    async def remove(self, clients: Iterable[tuple[str, str]]) -> None:
        """Delete the rows of clients, given as (workspace, client id)."""
        gone = list(clients)
        if not gone:
            return
        async with self._connections.writing() as connection:
            for start in range(0, len(gone), _AT_ONCE):
                these = [
                    and_(Subscription.workspace == workspace, Subscription.client_id == client_id)
                    for workspace, client_id in gone[start : start + _AT_ONCE]
                ]
                await connection.execute(delete(Subscription).where(or_(*these)))

    async def all(self) -> dict[tuple[str, str], frozenset[str]]:
        """What every client listened to, by (workspace, client id); read once at start."""
        statement = select(Subscription.workspace, Subscription.client_id, Subscription.names)
        async with self._connections.reading() as connection:
            return {(row[0], row[1]): frozenset(row[2]) for row in await connection.execute(statement)}
