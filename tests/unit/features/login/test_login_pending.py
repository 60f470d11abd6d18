"""Keys under which programs wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import select

from hypha.errors import CallFailed, InvalidLoginKey, InvalidRequest, LimitReached
from hypha.features.login import pending as module
from hypha.features.login.pending import PendingKeys
from hypha.features.login.records import PendingLogins
from hypha.features.login.tables import PendingLogin
from hypha.limits.turns import on_behalf_of
from hypha.store import Store
from tests.kit.clock import Clock


@pytest_asyncio.fixture
async def store() -> AsyncIterator[Store]:
    async with Store(":memory:") as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(store: Store, clock: Clock) -> PendingKeys:
    return PendingKeys(PendingLogins(store), 60.0, clock=clock)


async def test_the_store_holds_neither_key_nor_token(store: Store, keys: PendingKeys) -> None:
    key = await keys.new("ws-a", 30.0)
    assert len(key) == 22
    await keys.answer(key, {"token": "very-secret"})
    async with store.reading() as connection:
        row = (await connection.execute(select(PendingLogin.key_hash, PendingLogin.answer))).one()
    assert key not in row[0]
    assert b"very-secret" not in row[1]
    assert await keys.take(key, 0) == {"token": "very-secret"}


async def test_a_report_to_another_replica_is_found(
    store: Store, clock: Clock, keys: PendingKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_INTERVAL_S", 0.02)
    elsewhere = PendingKeys(PendingLogins(store), 60.0, clock=clock)
    key = await keys.new()
    waiting = asyncio.create_task(keys.take(key, 5.0))
    await asyncio.sleep(0)
    await elsewhere.answer(key, {"token": "t"})
    assert await waiting == {"token": "t"}


async def test_a_report_wakes_those_who_wait_here(keys: PendingKeys) -> None:
    key = await keys.new()
    waiting = asyncio.create_task(keys.take(key, 5.0))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(0.5):
        await keys.answer(key, {"token": "t"})
        assert await waiting == {"token": "t"}
    assert not keys._waiting


async def test_a_key_is_good_for_one_answer_and_one_taker(keys: PendingKeys) -> None:
    key = await keys.new()
    assert await keys.take(key, 0) is None
    await keys.answer(key, {"token": "t"})
    with pytest.raises(InvalidRequest, match="reported already"):
        await keys.answer(key, {"token": "u"})
    assert await keys.take(key, 0) == {"token": "t"}
    for _ in range(2):
        with pytest.raises(InvalidLoginKey, match="Invalid key, key does not exist"):
            await keys.take(key, 0)


async def test_a_key_ends_with_its_time(keys: PendingKeys, clock: Clock) -> None:
    key = await keys.new()
    clock.now += 60.0
    with pytest.raises(InvalidLoginKey):
        await keys.answer(key, {"token": "t"})
    with pytest.raises(InvalidLoginKey):
        await keys.take(key, 1.0)


async def test_whoever_waits_past_the_keys_time_is_told(
    keys: PendingKeys, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_INTERVAL_S", 0.02)
    key = await keys.new()
    waiting = asyncio.create_task(keys.take(key, 500.0))
    await asyncio.sleep(0.03)
    clock.now += 61.0
    with pytest.raises(CallFailed, match="Login timeout, waited for 60 seconds"):
        await waiting


async def test_few_may_wait_for_one_key(keys: PendingKeys) -> None:
    key = await keys.new()
    tasks = [asyncio.create_task(keys.take(key, 5.0)) for _ in range(module.MAX_WAITING_PER_KEY)]
    await asyncio.sleep(0.05)
    with pytest.raises(LimitReached):
        await keys.take(key, 5.0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not keys._waiting


async def test_too_many_pending_logins_are_refused(
    keys: PendingKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PENDING", 2)
    await keys.new()
    await keys.new()
    with pytest.raises(LimitReached):
        await keys.new()


@pytest.mark.parametrize("key", [None, 5, "", "x" * 101, ["a"]])
async def test_what_is_no_key_is_refused(keys: PendingKeys, key: object) -> None:
    with pytest.raises(InvalidLoginKey):
        await keys.get(key)


async def test_one_party_leaves_others_room_to_wait(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_PER_PARTY", 3)
    keys = PendingKeys(PendingLogins(store), 60.0)
    with contextlib.ExitStack() as waiting:
        with on_behalf_of("greedy"):
            for number in range(3):
                waiting.enter_context(keys._waits(f"key-{number}"))
            with pytest.raises(LimitReached):
                await keys.take(await keys.new(), 5.0)
        with on_behalf_of("honest"):
            waiting.enter_context(keys._waits("another"))
    assert not keys._parties and not keys._waiting


def test_many_who_wait_look_together_as_often_as_a_hundred() -> None:
    keys = PendingKeys(PendingLogins(Store(":memory:")), 60.0)
    assert keys._pause_s() == module.LOOK_INTERVAL_S
    with contextlib.ExitStack() as waiting:
        for number in range(400):
            waiting.enter_context(keys._waits(f"key-{number}"))
        assert keys._pause_s() == 400 / module.LOOKS_PER_S
