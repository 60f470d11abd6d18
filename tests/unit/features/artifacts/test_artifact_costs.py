"""What functions of the artifact manager ask of the database: so many statements, however much there is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest_asyncio
from sqlalchemy import event

from hypha.store import Store
from tests.unit.features.artifacts.lab import Lab


@pytest_asyncio.fixture
async def lab(store: Store, tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab.opened(store, tmp_path) as opened:
        yield opened


async def statements(lab: Lab, work: Awaitable[Any]) -> int:
    """How many statements something takes."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    engine = lab.store._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        await work
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return len(seen)


async def cycle(lab: Lab, alias: str, files: list[str]) -> dict[str, int]:
    """Make an artifact with files and read it; what each step took."""
    manager, owner = lab.manager, lab.owner
    taken = {"create": await statements(lab, lab.create(alias, stage=True))}
    taken["put_file"] = await statements(lab, manager.put_file(alias, files, context=owner))
    artifact = await lab.parts.access.find(alias, owner)
    for path in files:
        await lab.objects.put(artifact.stage_key(path), path.encode())
    taken["commit"] = await statements(lab, manager.commit(alias, context=owner))
    taken["read"] = await statements(lab, manager.read(alias, context=owner))
    taken["get_file"] = await statements(lab, manager.get_file(alias, files, context=owner))
    return taken


async def test_the_steps_of_an_artifact_take_few_statements(lab: Lab) -> None:
    taken = await cycle(lab, "one", ["a.txt"])
    most = {"create": 4, "put_file": 5, "commit": 11, "read": 3, "get_file": 2}
    assert {step: count for step, count in taken.items() if count > most[step]} == {}


async def test_more_files_and_versions_take_no_more_statements(lab: Lab) -> None:
    await lab.create("data", stage=True)
    for n in range(5):
        await lab.upload("data", **{f"f{n}_txt": "x"})
        await lab.manager.commit("data", context=lab.owner)
        await lab.manager.edit("data", version="new", stage=True, context=lab.owner)
    await lab.manager.discard("data", context=lab.owner)
    assert await statements(lab, lab.manager.read("data", context=lab.owner)) <= 3
    few = await cycle(lab, "with-few", [f"{i}/{i}.txt" for i in range(2)])
    many = await cycle(lab, "with-many", [f"{i}/{i}.txt" for i in range(100)])
    assert many == few


async def test_what_is_to_go_is_looked_for_once(lab: Lab) -> None:
    await lab.filled("first", a_txt="a")
    for_one = await statements(lab, lab.garbage.sweep())
    for n in range(5):
        await lab.filled(f"data-{n}", a_txt="a")
    assert await statements(lab, lab.garbage.sweep()) == for_one
    assert await lab.garbage.waiting() == 0
