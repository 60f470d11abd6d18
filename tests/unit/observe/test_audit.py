"""The audit log: batched, bounded, without repeating itself."""

from __future__ import annotations

import asyncio

from hypha.errors import BackendUnavailable
from hypha.observe.audit import MAX_WAITING, AuditLog
from hypha.store import Store
from hypha.store.audit import AuditQuery, AuditRecord
from hypha.testing import eventually


class Broken:
    """A store that fails at first."""

    def __init__(self) -> None:
        self.failing = True
        self.rows: list[AuditRecord] = []

    async def add(self, entries: list[AuditRecord]) -> None:
        if self.failing:
            raise BackendUnavailable("The database is busy")
        self.rows += entries

    async def find(self, query: AuditQuery, offset: int, limit: int) -> list[AuditRecord]:
        return self.rows

    async def trim(self, before: float, keep: int) -> None:
        return None


async def test_entries_are_found_by_what_they_say_newest_first() -> None:
    async with Store(":memory:") as store:
        moments = iter(range(1, 100))
        log = AuditLog(store.audit, clock=lambda: float(next(moments)))
        log.note("connected", "alice", "w1", address="203.0.113.1")
        log.note("token_minted", "alice", "w1", detail={"permission": "read", "odd": [1]})
        log.note("connected", "bob", "w2")
        everything = await log.find(AuditQuery())
        assert [(entry.action, entry.user_id) for entry in everything] == [
            ("connected", "bob"),
            ("token_minted", "alice"),
            ("connected", "alice"),
        ]
        assert everything[1].detail == {"permission": "read", "odd": "[1]"}
        assert [e.user_id for e in await log.find(AuditQuery(action="connected", workspace="w2"))] == ["bob"]
        assert len(await log.find(AuditQuery(user_id="alice", since=2.0))) == 1
        assert len(await log.find(AuditQuery(until=2.0), 1, 5)) == 1


async def test_equal_events_of_one_moment_are_one_row_and_the_queue_is_bounded() -> None:
    async with Store(":memory:") as store:
        log = AuditLog(store.audit)
        for _ in range(1000):
            log.note("access_refused", "mallory", "w")
        (entry,) = await log.find(AuditQuery())
        assert entry.count == 1000
        for number in range(MAX_WAITING + 10):
            log.note("access_refused", f"user-{number}")
        assert log.dropped == 10


async def test_a_failing_store_loses_nothing() -> None:
    store = Broken()
    log = AuditLog(store)
    writing = asyncio.create_task(log.run())
    log.note("connected", "alice")
    await asyncio.sleep(0.6)
    assert store.rows == []
    store.failing = False
    log.note("connected", "bob")

    async def is_written() -> bool:
        return len(store.rows) == 2

    await eventually(is_written, within_s=5)
    writing.cancel()
    assert {entry.user_id for entry in store.rows} == {"alice", "bob"}


async def test_old_and_superfluous_entries_are_forgotten() -> None:
    async with Store(":memory:") as store:
        rows = [AuditRecord(float(number), "a", "u", "", "", None) for number in range(20)]
        await store.audit.add(rows)
        await store.audit.trim(5.0, 1000)
        assert len(await store.audit.find(AuditQuery(), 0, 100)) == 15
        await store.audit.trim(0.0, 4)
        kept = await store.audit.find(AuditQuery(), 0, 100)
        assert [entry.timestamp for entry in kept] == [19.0, 18.0, 17.0, 16.0]


async def test_without_a_store_nothing_is_kept() -> None:
    log = AuditLog()
    log.note("connected", "alice")
    assert await log.find(AuditQuery()) == []
