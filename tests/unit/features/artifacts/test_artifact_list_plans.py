"""Lists are read in the order of an index: what they cost does not grow with what is not shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import event, text

from hypha.store import Store
from tests.unit.features.artifacts.lab import Lab

ORDERS = [None, "created_at>", "-last_modified", "manifest.name", "manifest.name>"]


@pytest_asyncio.fixture
async def lab(store: Store, tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab.opened(store, tmp_path) as opened:
        yield opened


async def plans(lab: Lab, **how: Any) -> list[str]:
    """How the database finds what a list shows, statement by statement."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if not statement.startswith("SET "):
            asked.append((statement, parameters))

    engine = lab.store._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        await lab.manager.list(silent=True, context=lab.owner, **how)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    is_postgres = engine.dialect.name == "postgresql"
    found = []
    async with lab.store.reading() as connection:
        for setting in ("seqscan", "bitmapscan", "sort") if is_postgres else ():  # it would sort so few
            await connection.execute(text(f"SET LOCAL enable_{setting} = off"))
        for statement, parameters in asked:
            word = "EXPLAIN" if is_postgres else "EXPLAIN QUERY PLAN"
            rows = await connection.exec_driver_sql(f"{word} {statement}", parameters)
            found.append("\n".join(str(row[-1]) for row in rows))
    return found


@pytest.mark.parametrize("parent", [None, "box"])
@pytest.mark.parametrize("order", ORDERS)
async def test_no_order_makes_the_database_sort(lab: Lab, order: str | None, parent: str | None) -> None:
    await lab.create("box", type="collection")
    for n in range(5):
        await lab.create(f"one-{n}", {"name": f"n{n}"}, parent_id=parent)
    found = await plans(lab, parent_id=parent, order_by=order)
    assert not [plan for plan in found if "TEMP B-TREE" in plan or "Sort" in plan]
    assert [plan for plan in found if "ix_artifacts_" in plan]


@pytest.mark.parametrize("parent", [None, "box"])
async def test_totals_are_counted_in_an_index_alone(lab: Lab, parent: str | None) -> None:
    await lab.create("box", type="collection")
    found = await plans(lab, parent_id=parent, pagination=True)
    counted = [plan for plan in found if "COVERING INDEX" in plan or "Index Only Scan" in plan]
    assert [plan for plan in counted if "_listed" in plan]


async def test_names_are_in_the_order_of_their_bytes(lab: Lab) -> None:
    for alias, name in {"b": "beta", "none": None, "a": "Alpha", "c": "\u00e9"}.items():
        await lab.create(alias, {"name": name} if name is not None else {"title": "x"})
    for order, wanted in (
        ("manifest.name", ["a", "b", "c", "none"]),
        ("manifest.name>", ["none", "c", "b", "a"]),
    ):
        listed = await lab.manager.list(order_by=order, context=lab.owner)
        assert [artifact["alias"] for artifact in listed] == wanted


PLAIN = [*({"order_by": order} for order in (*ORDERS, "id", "-anything")), {"pagination": True}]
SOUGHT: list[dict[str, Any]] = [
    {"keywords": ["a"]}, {"filters": {"type": "x"}}, {"stage": True}, {"offset": 10_001},
    {"order_by": "view_count"}, {"order_by": "-manifest.title"}, {"order_by": "config.x>"},
]  # fmt: skip


@pytest.mark.parametrize("uri", [":memory:"])
async def test_lists_that_an_index_holds_are_no_searches(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    await lab.create("box", type="collection", config={"permissions": {"*": "l"}})
    inbox = {"private_children": True, "recipient_field": "to", "permissions": {"*": "l"}}
    await lab.create("inbox", type="inbox", config=inbox)
    kinds = list[str]()
    for kind in ("searching", "listing"):
        asked = getattr(lab.store, kind)
        monkeypatch.setattr(lab.store, kind, lambda asked=asked, kind=kind: kinds.append(kind) or asked())

    async def kind_of(how: dict[str, Any], context: Any = lab.owner, *, name: str = "list") -> str:
        kinds.clear()
        await getattr(lab.manager, name)(context=context, **how)
        return kinds[0]

    stranger = lab.caller("zoe")
    for how in PLAIN:
        assert await kind_of(how) == "listing", how
        assert await kind_of({**how, "parent_id": "lab/box"}, stranger) == "listing", how
    for how in SOUGHT:
        assert await kind_of(how) == "searching", how
    assert await kind_of({}, stranger) == "searching"  # looks whose they are, one by one
    assert await kind_of({"parent_id": "lab/inbox"}, stranger) == "searching"
    assert await kind_of({}, name="search") == "searching"
