"""Fixtures for tests of records: SQLite in a file and in memory and, when there is one, PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from hypha.store import Store
from tests.kit.postgres import PostgresServer, running_postgres


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
