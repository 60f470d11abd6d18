"""Connections that stay open between their uses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from hypha.store import engines
from hypha.store.kept import KeptConnections

COUNT = text("SELECT count(*) FROM things")
ADD = text("INSERT INTO things VALUES (:n)")


@pytest_asyncio.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    made = engines.make_engine(engines.parse_uri(f"sqlite+aiosqlite:///{tmp_path}/r.db"))
    yield made.execution_options(**{engines.WRITES: True})
    await made.dispose()


@pytest_asyncio.fixture
async def kept(engine: AsyncEngine) -> AsyncIterator[KeptConnections]:
    made = KeptConnections(engine)
    async with made.writing() as connection:
        await connection.execute(text("CREATE TABLE things (n INTEGER PRIMARY KEY)"))
    yield made
    await made.close()


def open_now(engine: AsyncEngine) -> int:
    """How many connections are out of the pool."""
    pool = engine.pool
    return int(pool.checkedout())  # type: ignore[attr-defined]


async def count(kept: KeptConnections) -> int:
    async with kept.reading() as connection:
        return int((await connection.execute(COUNT)).scalar_one())


async def test_one_connection_serves_one_use_after_another(
    kept: KeptConnections, engine: AsyncEngine
) -> None:
    for number in range(5):
        async with kept.writing() as connection:
            await connection.execute(ADD, {"n": number})
    assert (await count(kept), open_now(engine)) == (5, 1)
    await kept.close()
    assert open_now(engine) == 0


async def test_what_fails_is_taken_back_and_its_connection_given_back(
    kept: KeptConnections, engine: AsyncEngine
) -> None:
    for error, statement in ((IntegrityError, ADD), (OperationalError, text("SELECT nothing FROM nowhere"))):
        with pytest.raises(error):
            async with kept.writing() as connection:
                await connection.execute(ADD, {"n": 1})
                await connection.execute(statement, {"n": 1})
        assert open_now(engine) == 0
        assert await count(kept) == 0


async def test_what_a_reader_leaves_open_is_taken_back(kept: KeptConnections) -> None:
    async with kept.reading() as connection:
        await connection.execute(ADD, {"n": 1})
    assert await count(kept) == 0


async def test_a_caller_that_leaves_takes_nothing_along(kept: KeptConnections, engine: AsyncEngine) -> None:
    inside = asyncio.Event()

    async def stay() -> None:
        async with kept.writing() as connection:
            await connection.execute(ADD, {"n": 1})
            inside.set()
            await asyncio.Event().wait()

    staying = asyncio.create_task(stay())
    await inside.wait()
    staying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await staying
    assert (await count(kept), open_now(engine)) == (0, 1)
