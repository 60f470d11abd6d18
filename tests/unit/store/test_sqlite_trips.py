"""Connections to SQLite: how often they go to their thread, and what is left of a caller that gave up."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from hypha.store import sqlite_trips
from hypha.store.sqlite_trips import TripConnection


class Counted(TripConnection):
    """Counts its trips."""

    trips = 0

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.trips += 1
        return await super()._execute(fn, *args, **kwargs)


@pytest.fixture
async def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counted]:
    monkeypatch.setattr(sqlite_trips, "TripConnection", Counted)
    made = sqlite_trips.connect(str(tmp_path / "a.db"), isolation_level=None, timeout=0.01)
    assert isinstance(made, Counted)
    async with made:
        await run(made, "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
        made.trips = 0
        yield made


async def run(connection: TripConnection, statement: str, *values: Any) -> Any:
    cursor = connection.cursor()
    await cursor.execute(statement, values)
    await cursor.close()
    return cursor


async def test_a_statement_with_its_rows_takes_one_trip(connection: Counted) -> None:
    cursor = await run(connection, "INSERT INTO t VALUES (1, 'x'), (2, 'y') RETURNING a, b")
    assert await cursor.fetchall() == [(1, "x"), (2, "y")]
    assert [column[0] for column in cursor.description] == ["a", "b"]
    assert connection.trips == 1
    cursor = connection.cursor()
    await cursor.executemany("INSERT INTO t VALUES (?, ?)", [(3, "z"), (4, "z")])
    assert cursor.rowcount == 2
    assert connection.trips == 2


async def test_a_transaction_begins_with_its_first_statement_and_is_committed(connection: Counted) -> None:
    connection.begin_later()
    await run(connection, "INSERT INTO t VALUES (1, 'x')")
    assert connection.in_transaction
    await connection.commit()
    assert connection.trips == 2
    await connection.rollback()
    assert connection.trips == 2
    assert await (await run(connection, "SELECT * FROM t")).fetchall() == [(1, "x")]


async def test_a_transaction_without_a_statement_takes_no_trip(connection: Counted) -> None:
    connection.begin_later()
    await connection.commit()
    connection.begin_later()
    await connection.rollback()
    assert connection.trips == 0
    await run(connection, "SELECT 1")
    assert not connection.in_transaction


async def test_what_failed_in_a_transaction_is_rolled_back(connection: Counted) -> None:
    connection.begin_later()
    await run(connection, "INSERT INTO t VALUES (1, 'x')")
    with pytest.raises(sqlite3.IntegrityError):
        await run(connection, "INSERT INTO t VALUES (1, 'y')")
    await connection.rollback()
    assert await (await run(connection, "SELECT * FROM t")).fetchall() == []


async def test_a_transaction_whose_caller_gave_up_while_it_began_is_rolled_back(connection: Counted) -> None:
    held = asyncio.Event()
    loop = asyncio.get_running_loop()
    released: asyncio.Future[None] = loop.create_future()

    def hold(_: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(held.set)
        asyncio.run_coroutine_threadsafe(asyncio.wait_for(asyncio.shield(released), 20), loop).result()

    connection.begin_later()
    work = asyncio.create_task(connection.visit(hold))
    await held.wait()
    work.cancel()
    await asyncio.wait((work,))
    rolled_back = asyncio.create_task(connection.rollback())
    await asyncio.sleep(0)
    released.set_result(None)
    await rolled_back
    assert not connection.in_transaction


async def test_a_transaction_given_up_before_its_thread_began_it_is_rolled_back(connection: Counted) -> None:
    """The thread is busy with something else, so that nothing has begun when the caller leaves."""
    loop = asyncio.get_running_loop()
    released: asyncio.Future[None] = loop.create_future()
    wait = asyncio.wait_for(asyncio.shield(released), 20)
    busy = asyncio.create_task(
        TripConnection._execute(connection, lambda: asyncio.run_coroutine_threadsafe(wait, loop).result())
    )
    await asyncio.sleep(0)
    connection.begin_later()
    work = asyncio.create_task(run(connection, "INSERT INTO t VALUES (1, 'x')"))
    await asyncio.sleep(0)
    work.cancel()
    await asyncio.wait((work,))
    assert not connection.in_transaction
    rolled_back = asyncio.create_task(connection.rollback())
    await asyncio.sleep(0)
    released.set_result(None)
    await asyncio.gather(busy, rolled_back)
    assert not connection.in_transaction
    assert await (await run(connection, "SELECT * FROM t")).fetchall() == []
