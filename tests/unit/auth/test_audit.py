"""The audit log: batched, bounded, without repeating itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from hypha.auth import audit
from hypha.auth.audit import (
    ACTS_QUOTA,
    REFUSALS_QUOTA,
    STRANGERS_QUOTA,
    STRANGERS_SHARE,
    WINDOW_S,
    AuditLog,
)
from hypha.auth.ledger import MORE
from hypha.errors import BackendUnavailable
from hypha.store import Store
from hypha.store.audit import AuditQuery, AuditRecord, Recount, Ring
from hypha.testing import eventually
from tests.kit.clock import Clock


class Broken:
    """A store that fails at first."""

    def __init__(self) -> None:
        self.failing = True
        self.refused = asyncio.Event()
        self.rows: list[AuditRecord] = []

    async def write(
        self, entries: Sequence[tuple[Ring, AuditRecord]], again: Sequence[Recount] = ()
    ) -> list[int]:
        if self.failing:
            self.refused.set()
            raise BackendUnavailable("The database is busy")
        self.rows += [record for _, record in entries]
        for seen in again:
            self.rows[seen.number] = replace(self.rows[seen.number], count=seen.count)
        return list(range(len(self.rows) - len(entries), len(self.rows)))

    async def find(self, query: AuditQuery, offset: int, limit: int) -> list[AuditRecord]:
        return self.rows

    async def trim(self, before: float, keep: Mapping[Ring, int]) -> None:
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


async def test_a_refusal_that_comes_again_is_counted_on_its_entry() -> None:
    clock = Clock()
    async with Store(":memory:") as store:
        log = AuditLog(store.audit, clock=clock)
        for _ in range(10):
            log.note("access_refused", "mallory", "w")
            clock.now += 1.0
        await log.flush()
        for _ in range(5):
            log.note("access_refused", "mallory", "w")
        (entry,) = await log.find(AuditQuery())
        assert (entry.count, entry.first, entry.timestamp) == (15, 1000.0, 1010.0)
        assert len(await log.find(AuditQuery(since=1005.0))) == 1, "it went on"
        assert len(await log.find(AuditQuery(until=1005.0))) == 1, "it had begun"
        clock.now += WINDOW_S
        log.note("access_refused", "mallory", "w")
        assert [entry.count for entry in await log.find(AuditQuery())] == [1, 15]


async def test_acts_are_listed_one_by_one() -> None:
    async with Store(":memory:") as store:
        log = AuditLog(store.audit)
        for _ in range(3):
            log.note("admin_block_user", "root", detail={"subject": "eve"})
            await log.flush()
        assert [entry.count for entry in await log.find(AuditQuery())] == [1, 1, 1]


@pytest.mark.parametrize("is_stranger", [True, False])
async def test_what_one_source_does_beyond_its_quota_is_counted(is_stranger: bool) -> None:
    async with Store(":memory:") as store:
        log = AuditLog(store.audit)

        def refuse(number: int, source: str) -> None:
            who = f"anonymouz-{number}" if is_stranger else source
            where = source if is_stranger else f"192.0.2.{number % 250}"
            log.note("access_refused", who, f"w-{number}", address=where, is_stranger=is_stranger)

        for number in range(20_000):
            refuse(number, "mallory")
        refuse(1, "bob")
        log.note("token_minted", "alice")
        found = await log.find(AuditQuery(), limit=1000)
        refusals = [entry for entry in found if entry.action == "access_refused"]
        assert len(refusals) == REFUSALS_QUOTA.per_source + 2
        assert sum(entry.count for entry in refusals) == 20_001
        (more,) = [entry for entry in refusals if entry.detail == MORE]
        assert more.count == 20_000 - REFUSALS_QUOTA.per_source
        assert [entry.action for entry in found if entry.action != "access_refused"] == ["token_minted"]


async def test_memory_is_bounded_however_many_sources_are_refused() -> None:
    store = Broken()
    log = AuditLog(store)
    for number in range(30_000):
        log.note("access_refused", f"user-{number}", "w")
        log.note("access_refused", "", "w", address=f"10.1.{number // 250}.{number % 250}", is_stranger=True)
        log.note("connected", f"user-{number}", "w")
    log.note("access_refused", "bob", "his own")
    ledgers = log._ledgers
    assert {ring: len(ledger) for ring, ledger in ledgers.items()} == {
        Ring.ACTS: 2 * ACTS_QUOTA.in_all + 1,
        Ring.REFUSALS: 2 * REFUSALS_QUOTA.in_all + 1,
        Ring.STRANGERS: 2 * STRANGERS_QUOTA.in_all + 1,
    }
    store.failing = False
    await log.flush()
    assert sum(row.count for row in store.rows) == 90_001, "nothing is lost"


async def test_refusals_displace_neither_acts_nor_those_of_others() -> None:
    clock = Clock()
    async with Store(":memory:") as store:
        log = AuditLog(store.audit, clock=clock, keep_entries=200)
        log.note("token_minted", "alice")
        log.note("access_refused", "bob", "w")
        await log.flush()
        for number in range(3000):
            clock.now += WINDOW_S / 100
            log.note("access_refused", "", f"w-{number}", address="192.0.2.1", is_stranger=True)
            if number % 10 == 0:
                await log.flush()
                await log._trim()
        clock.now += 1000.0
        await log._trim()
        found = await log.find(AuditQuery(), limit=10_000)
        assert {entry.user_id for entry in found} == {"alice", "bob", ""}
        assert len(found) <= 2 + 200 // STRANGERS_SHARE + 2


async def test_a_failing_store_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Broken()
    log = AuditLog(store)
    monkeypatch.setattr(audit, "FLUSH_EVERY_S", 0.001)
    writing = asyncio.create_task(log.run())
    log.note("connected", "alice")
    async with asyncio.timeout(5):
        await store.refused.wait()
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
        rows = [
            (ring, AuditRecord(float(number), ring.name, "u", "", "", None))
            for number in range(20)
            for ring in (Ring.ACTS, Ring.STRANGERS)
        ]
        await store.audit.write(rows)
        await store.audit.trim(5.0, {})
        assert len(await store.audit.find(AuditQuery(), 0, 100)) == 30
        await store.audit.trim(0.0, {Ring.ACTS: 4, Ring.STRANGERS: 1})
        kept = await store.audit.find(AuditQuery(action="ACTS"), 0, 100)
        assert [entry.timestamp for entry in kept] == [19.0, 18.0, 17.0, 16.0]
        assert len(await store.audit.find(AuditQuery(action="STRANGERS"), 0, 100)) == 1


async def test_without_a_store_nothing_is_kept() -> None:
    log = AuditLog()
    log.note("connected", "alice")
    assert await log.find(AuditQuery()) == []
