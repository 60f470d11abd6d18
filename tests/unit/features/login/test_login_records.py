"""Pending logins in the store."""

from __future__ import annotations

import asyncio

from hypha.features.login.records import LoginRecord, PendingLogins
from hypha.store import Store


async def test_one_report_and_one_taker_win(store: Store) -> None:
    logins = PendingLogins(store)
    assert await logins.add(LoginRecord("k", 100.0, "ws-a", 60.0), 0.0, 10)
    assert await logins.get("k", 1.0) == LoginRecord("k", 100.0, "ws-a", 60.0)
    assert await logins.take("k", 1.0) is None
    reports = await asyncio.gather(*(logins.answer("k", b"%d" % n, 1.0) for n in range(5)))
    assert sorted(reports) == [False] * 4 + [True]
    taken = await asyncio.gather(*(logins.take("k", 1.0) for _ in range(5)))
    assert [answer for answer in taken if answer] == [b"%d" % reports.index(True)]
    assert await logins.get("k", 1.0) is None


async def test_what_is_over_can_neither_be_answered_nor_taken(store: Store) -> None:
    logins = PendingLogins(store)
    await logins.add(LoginRecord("k", 100.0), 0.0, 10)
    assert not await logins.answer("k", b"x", 100.0)
    assert await logins.answer("k", b"x", 99.0)
    assert await logins.take("k", 100.0) is None


async def test_a_full_table_refuses_until_old_ones_are_over(store: Store) -> None:
    logins = PendingLogins(store)
    assert await logins.add(LoginRecord("a", 10.0), 0.0, 1)
    assert not await logins.add(LoginRecord("b", 20.0), 5.0, 1)
    assert await logins.add(LoginRecord("b", 20.0), 10.0, 1)
    assert await logins.get("a", 5.0) is None
