"""Statements that were made beforehand give what SQLAlchemy gives, with fewer trips."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import (
    Boolean,
    Column,
    Integer,
    MetaData,
    Table,
    bindparam,
    delete,
    event,
    insert,
    select,
    text,
    update,
)  # fmt: skip
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.errors import LimitReached
from hypha.store import Store
from hypha.store.base import Json
from hypha.store.prepared import Prepared, driven_by, together

Things = Table(
    "prepared_things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("is_good", Boolean),
    Column("told", Json),
)
ADD = Prepared(insert(Things))
ALL = Prepared(select(Things.c.id, Things.c.is_good.label("good"), Things.c.told).order_by(Things.c.id))
GROW = Prepared(update(Things).where(Things.c.id > bindparam("above")).values(id=Things.c.id + 10))
GO = Prepared(delete(Things).where(Things.c.id == bindparam("at")))
ENDLESS = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT count(*) FROM n")


@pytest_asyncio.fixture(autouse=True)
async def things(store: Store) -> None:
    async with store.writing() as connection:
        await connection.run_sync(Things.metadata.create_all)


def thing(number: int, told: Any = None) -> dict[str, Any]:
    return {"id": number, "is_good": number % 2 == 1, "told": told}


async def kept(store: Store) -> list[Any]:
    async with store.reading() as connection:
        return [tuple(row) for row in await ALL.run(connection)]


async def trips(connection: AsyncConnection, *steps: Any) -> int:
    """How often statements go to the thread of a connection to SQLite."""
    driven, seen = driven_by(connection), 0
    visit = driven.visit

    async def counted(job: Any) -> None:
        nonlocal seen
        seen += 1
        await visit(job)

    driven.visit = counted  # type: ignore[method-assign]
    try:
        await together(connection, *steps)
    finally:
        del driven.visit  # type: ignore[method-assign]
    return seen


async def test_values_come_back_as_they_were_stored(store: Store) -> None:
    async with store.writing() as connection:
        await ADD.run(connection, thing(1, {"a": [1, None]}))
        await ADD.run(connection, [thing(2, 7), thing(3)])
    async with store.reading() as connection:
        rows = (await ALL.run(connection)).all()
    assert rows == [(1, True, {"a": [1, None]}), (2, False, 7), (3, True, None)]
    assert (rows[0].good, dict(rows[1]._mapping)) == (True, {"id": 2, "good": False, "told": 7})


async def test_a_change_tells_how_many_rows_it_met_and_is_there_once_committed(store: Store) -> None:
    async with store.writing() as connection:
        await ADD.run(connection, [thing(1), thing(2), thing(3)])
        grown, gone, none = await together(
            connection, (GROW, {"above": 1}), (GO, {"at": 12}), (GO, {"at": 99})
        )
    assert (grown.rowcount, gone.rowcount, none.rowcount) == (2, 1, 0)
    assert [row[0] for row in await kept(store)] == [1, 13]


async def test_a_refused_statement_takes_back_the_whole_transaction(store: Store) -> None:
    with pytest.raises(IntegrityError):
        async with store.writing() as connection:
            await together(connection, (ADD, thing(1)), (ADD, thing(1)))
    assert await kept(store) == []


async def test_statements_of_both_ways_share_a_transaction(store: Store) -> None:
    for first in (ADD.run, lambda c, values: c.execute(insert(Things), values)):
        with pytest.raises(ZeroDivisionError):
            async with store.writing() as connection:
                await first(connection, thing(1))
                await connection.execute(insert(Things), thing(2))
                await ADD.run(connection, thing(3))
                raise ZeroDivisionError
        assert await kept(store) == []
    async with store.writing() as connection:
        await ADD.run(connection, thing(1))
        await connection.execute(insert(Things), thing(2))
    assert len(await kept(store)) == 2


async def test_values_that_no_statement_takes_are_told_as_always(store: Store) -> None:
    with pytest.raises(KeyError):
        async with store.writing() as connection:
            if connection.dialect.name != "sqlite":
                raise KeyError  # SQLAlchemy says it in its own words there
            await GO.run(connection, {"elsewhere": 1})
    with pytest.raises(DBAPIError):
        async with store._engine.connect() as connection:
            await Prepared(text("SELECT nothing FROM nowhere")).run(connection)


async def test_who_listens_to_statements_hears_of_them(store: Store) -> None:
    heard: list[str] = []
    engine = store._engine.sync_engine

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        heard.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        await kept(store)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    await kept(store)
    assert len(heard) == 1


async def test_several_go_to_sqlite_together(store: Store) -> None:
    if not store._is_sqlite:
        pytest.skip("of SQLite")
    async with store.writing() as connection:
        assert await trips(connection, (ADD, thing(1)), (ADD, [thing(2), thing(3)]), (ALL, None)) == 1
    assert len(await kept(store)) == 3


async def test_one_that_takes_too_long_is_broken_off(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypha.store.sql.SEARCH_S", 0.01)
    with pytest.raises(LimitReached):
        async with store.listing() as connection:
            await Prepared(ENDLESS).run(connection)
    assert await kept(store) == []


async def test_one_whose_parameters_are_a_list_is_refused(store: Store) -> None:
    some = Prepared(select(Things.c.id).where(Things.c.id.in_(bindparam("ids", expanding=True))))
    async with store.reading() as connection:
        if connection.dialect.name == "sqlite":
            with pytest.raises(TypeError):
                await some.run(connection, {"ids": [1]})
