"""Subscriptions of clients, so that a restart of the server doesn't end them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import and_, delete, or_, update

from hypha.store.replicas import owning
from hypha.store.repository import Repository, upsert
from hypha.store.tables import Subscription

_AT_ONCE = 200


class Subscriptions(Repository):
    """One row per client."""

    async def put(self, workspace: str, client_id: str, names: Collection[str]) -> None:
        """Write what a client of this replica listens to; an empty collection deletes the row.

        Raises:
            LeaseLost: the lease of this replica has ended.
        """
        if not names:
            await self.remove([(workspace, client_id)])
            return
        key = {"workspace": workspace, "client_id": client_id}
        row = {**key, "names": sorted(names), "replica": self._connections.replica}
        async with self._connections.writing() as connection, owning():
            await upsert(connection, Subscription, row, ("workspace", "client_id"))

    async def remove(self, clients: Iterable[tuple[str, str]]) -> None:
        """Delete the rows of clients of this replica, given as (workspace, client id)."""
        gone = list(clients)
        if not gone:
            return
        own = Subscription.replica.is_not_distinct_from(self._connections.replica)
        async with self._connections.writing() as connection:
            for start in range(0, len(gone), _AT_ONCE):
                these = [
                    and_(Subscription.workspace == workspace, Subscription.client_id == client_id)
                    for workspace, client_id in gone[start : start + _AT_ONCE]
                ]
                await connection.execute(delete(Subscription).where(own, or_(*these)))

    async def adopt(self) -> dict[tuple[str, str], frozenset[str]]:
        """Answer from now on for clients of replicas that are gone.

        Returns what each listened to, by (workspace, client id).
        """
        left = update(Subscription).where(Subscription.replica.is_(None))
        columns = Subscription.workspace, Subscription.client_id, Subscription.names
        statement = left.values(replica=self._connections.replica).returning(*columns)
        async with self._connections.writing() as connection, owning():
            return {(row[0], row[1]): frozenset(row[2]) for row in await connection.execute(statement)}
