"""Facts about the whole deployment."""

from __future__ import annotations

from sqlalchemy import select

from hypha.store.repository import Repository, insert_if_absent, upsert
from hypha.store.tables import Fact


class Facts(Repository):
    """Keys with one text each."""

    async def get(self, key: str) -> str | None:
        """The text of a key, or None."""
        async with self._connections.reading() as connection:
            return (await connection.execute(select(Fact.value).where(Fact.key == key))).scalar_one_or_none()

    async def set(self, key: str, value: str) -> None:
        """Write the text of a key."""
        async with self._connections.writing() as connection:
            await upsert(connection, Fact, {"key": key, "value": value}, ("key",))

    async def get_or_set(self, key: str, value: str) -> str:
        """The text of a key; `value` becomes it if there is none. All replicas get the same."""
        async with self._connections.writing() as connection:
            await insert_if_absent(connection, Fact, {"key": key, "value": value})
            return (await connection.execute(select(Fact.value).where(Fact.key == key))).scalar_one()
