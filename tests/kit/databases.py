"""Fixtures for tests of records: SQLite in a file and in memory and, when there is one, PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Self

import pytest
import pytest_asyncio
from sqlalchemy import update

from hypha.store import Store
from hypha.store.tables import Replica
from tests.kit.postgres import PostgresServer, running_postgres


class Replicated(Store):
    """The store of a server that claims no database for itself: what replicas will be."""

    async def open(self, holder: str | None = None, name: str = "") -> Self:
        await super().open()
        await self.lease.take(name, holder or "http://127.0.0.1:1")
        return self


def replica_of(uri: str) -> Store:
    """The store of one replica; others may be on the same database."""
    return Replicated(uri)


async def lapse(store: Store, of: Store) -> None:
    """Let the lease of a replica be one that was not renewed in time."""
    async with store.writing() as connection:
        await connection.execute(update(Replica).where(Replica.id == of.replica).values(expires_at=1.0))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of our own; skips where it is not installed."""
    yield from running_postgres()


@pytest.fixture(
    params=[
        "file",
        "memory",
        pytest.param("postgres", marks=[pytest.mark.slow, pytest.mark.postgres, pytest.mark.timeout(180)]),
    ]
)
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URI of an empty database."""
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.new_database()
    return ":memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/records.db"


@pytest_asyncio.fixture
async def store(uri: str) -> AsyncIterator[Store]:
    """An open store on an empty database."""
    async with Store(uri) as opened:
        yield opened
