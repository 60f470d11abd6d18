"""The state of the database as its users and its watch find it."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from hypha.errors import BackendUnavailable
from hypha.store import Store, engines
from hypha.store import condition as condition_module
from hypha.store.condition import FAIL_AT_ONCE_S, Condition

FULL = BackendUnavailable("The disk of the database is full: nothing was changed, tell the operator.")


def test_a_slow_fault_is_told_at_once_for_a_while_and_a_quick_one_is_tried_again() -> None:
    now = [0.0]
    condition = Condition(lambda: now[0])
    condition.check()
    assert condition.state().is_ok
    condition.note(FULL, is_slow=False)
    condition.check()
    assert (condition.state().is_ok, condition.state().text) == (False, "The disk of the database is full")
    condition.note(FULL, is_slow=True)
    with pytest.raises(BackendUnavailable, match="full"):
        condition.check()
    now[0] = FAIL_AT_ONCE_S
    condition.check()
    condition.clear()
    assert condition.state().is_ok


async def test_the_watch_finds_trouble_and_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(condition_module, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(condition_module, "LOOK_AGAIN_S", 0.01)
    condition, looks, is_full = Condition(), [], [True]

    async def look(write: bool) -> None:
        looks.append(write)
        if is_full[0]:
            condition.note(FULL, is_slow=False)
            raise FULL

    watching = asyncio.create_task(condition.watch(look))
    async with asyncio.timeout(5):
        while condition.state().is_ok or True not in looks:  # noqa: ASYNC110 (another task)
            await asyncio.sleep(0.005)
        is_full[0] = False
        while not condition.state().is_ok:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    watching.cancel()
    assert looks[0] is False, "without a fault nothing is written"


async def test_writers_behind_a_locked_database_do_not_wait_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_S", 0.5)
    path = tmp_path / "x.db"
    async with Store(f"sqlite:///{path}") as store:
        await store.facts.set("k", "v")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        began = asyncio.get_running_loop().time()
        writes = [store.facts.set(f"k{number}", "v") for number in range(20)]
        answers = await asyncio.gather(*writes, return_exceptions=True)
        assert asyncio.get_running_loop().time() - began < 5
        assert {str(answer) for answer in answers} == {
            "The database is busy: nothing was changed, please try again."
        }
        assert await store.facts.get("k") == "v", "readers go on"
        assert not store.condition.state().is_ok
        other.execute("ROLLBACK")
        other.close()
        await store._look(True)
        store.condition.clear()
        await store.facts.set("k", "w")
        assert [await store.facts.get(f"k{number}") for number in range(20)] == [None] * 20
