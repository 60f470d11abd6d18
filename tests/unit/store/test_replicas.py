"""What a replica owns in the database is deleted by it alone, or once its lease has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import select

from hypha.errors import AlreadyExists, LeaseLost
from hypha.store import Store, WorkspaceRecord, replicas
from hypha.store.records import Bookmark
from hypha.store.replicas import LEASE_S, now
from hypha.store.tables import Replica
from tests.kit.databases import lapse, replica_of

LAB = WorkspaceRecord("lab", created_by="alice")


@pytest_asyncio.fixture
async def first(uri: str) -> AsyncIterator[Store]:
    """A store of a replica."""
    async with replica_of(uri) as opened:
        yield opened


@pytest_asyncio.fixture
async def second(uri: str) -> AsyncIterator[Store]:
    """Another one on the same database, once servers may share one."""
    if uri == ":memory:":
        pytest.skip("a database in memory has one server")
    async with replica_of(uri) as opened:
        yield opened


async def test_later_replicas_have_larger_numbers_also_after_all_are_gone(first: Store) -> None:
    number = first.replica
    await first.lease.release()
    assert first.replica is None
    await first.lease.take("a", "http://127.0.0.1:1")
    assert number is not None and first.replica is not None and first.replica > number


async def test_a_workspace_is_ended_by_the_replica_that_answers_for_it(first: Store, second: Store) -> None:
    await first.workspaces.create(LAB)
    assert await second.workspaces.end("lab", with_tokens=True) is None
    assert await second.workspaces.adopt() == []
    assert await first.workspaces.get("lab") == LAB
    assert await first.workspaces.end("lab", with_tokens=False) == {}
    assert await first.workspaces.get("lab") is None


async def test_whatever_brings_a_workspace_into_the_database_names_its_replica(
    first: Store, second: Store
) -> None:
    await first.bookmarks.put(LAB, Bookmark("workspace", "x"), 1.0, None)
    assert await second.workspaces.end("lab", with_tokens=True) is None
    await second.workspaces.update("lab", {"description": "another replica may write in it"})
    assert await second.workspaces.end("lab", with_tokens=True) is None


async def test_a_workspace_that_is_not_to_last_any_more_is_answered_for(first: Store, second: Store) -> None:
    await first.workspaces.create(WorkspaceRecord("lab", persistent=True))
    await first.lease.release()
    assert await second.workspaces.adopt() == []
    await second.workspaces.update("lab", {"persistent": False})
    assert await second.workspaces.end("lab", with_tokens=False) == {}


async def test_anybody_with_the_right_may_delete_a_workspace_at_any_replica(
    first: Store, second: Store
) -> None:
    await first.workspaces.create(LAB)
    await second.workspaces.delete_with_tokens("lab")
    assert await first.workspaces.get("lab") is None
    assert await first.workspaces.end("lab", with_tokens=True) == {}, "what is gone has no other owner"


async def test_subscriptions_are_those_of_the_replica_where_the_client_is(
    first: Store, second: Store
) -> None:
    await first.subscriptions.put("lab", "c", ["x"])
    await second.subscriptions.remove([("lab", "c")])
    assert await second.subscriptions.adopt() == {}
    await second.subscriptions.put("lab", "c", ["y"])  # the client has moved
    await first.subscriptions.remove([("lab", "c")])
    await second.lease.release()
    assert await first.subscriptions.adopt() == {("lab", "c"): frozenset({"y"})}


async def test_what_a_replica_leaves_is_adopted_by_exactly_one(first: Store, second: Store, uri: str) -> None:
    left = [f"lab-{number}" for number in range(20)]
    for workspace in left:
        await first.workspaces.create(WorkspaceRecord(workspace))
    await first.workspaces.create(WorkspaceRecord("lasting", persistent=True))
    await first.close()
    async with replica_of(uri) as third:
        found = await asyncio.gather(second.workspaces.adopt(), third.workspaces.adopt())
        assert sorted(found[0] + found[1]) == sorted(left)
        assert await second.workspaces.adopt() == []


@pytest.mark.parametrize("is_late", [True, False])
async def test_a_lease_is_ended_by_others_only_when_it_was_not_renewed_in_time(
    first: Store, second: Store, is_late: bool
) -> None:
    await first.workspaces.create(LAB)
    await first.lease.renew()
    if is_late:
        await lapse(second, first)
    assert await second.lease.end_lapsed() == is_late
    assert await second.workspaces.adopt() == (["lab"] if is_late else [])
    assert await first.lease.renew() is not is_late


async def test_a_lease_that_is_late_may_be_renewed_until_another_has_ended_it(
    first: Store, second: Store
) -> None:
    await lapse(second, first)
    assert await first.lease.renew()
    assert await second.lease.end_lapsed() == 0


async def test_a_replica_never_ends_its_own_lease_for_being_late(first: Store) -> None:
    await lapse(first, first)
    assert await first.lease.end_lapsed() == 0


async def test_a_replica_that_was_frozen_deletes_and_writes_nothing_that_another_has_taken_over(
    first: Store, second: Store
) -> None:
    await first.workspaces.create(LAB)
    await first.subscriptions.put("lab", "c", ["x"])
    await lapse(second, first)
    await second.lease.end_lapsed()
    await first_is_refused(first)
    with pytest.raises(LeaseLost, match="taken over from this one"):
        await first.workspaces.adopt()
    assert await second.workspaces.adopt() == ["lab"]
    await first_is_refused(first)
    assert await second.subscriptions.adopt() == {("lab", "c"): frozenset({"x"})}
    assert await second.workspaces.get("lab") == LAB and await second.workspaces.get("other") is None


async def first_is_refused(first: Store) -> None:
    assert await first.workspaces.end("lab", with_tokens=True) is None
    await first.subscriptions.put("lab", "c", [])
    with pytest.raises(LeaseLost, match="taken over from this one"):
        await first.subscriptions.put("lab", "c", ["z"])
    with pytest.raises(LeaseLost, match="taken over from this one"):
        await first.workspaces.create(WorkspaceRecord("other"))
    with pytest.raises(LeaseLost, match="taken over from this one"):
        await first.bookmarks.put(WorkspaceRecord("other"), Bookmark("workspace", "x"), 1.0, None)


async def test_a_taken_id_is_still_told_from_a_lost_lease(first: Store) -> None:
    await first.workspaces.create(LAB)
    with pytest.raises(AlreadyExists):
        await first.workspaces.create(LAB)


async def test_the_lease_is_kept_by_the_clock_of_the_database(first: Store) -> None:
    await first.lease.renew()
    async with first.reading() as connection:
        left_s = await connection.scalar(
            select(Replica.expires_at - now()).where(Replica.id == first.replica)
        )
    assert left_s == pytest.approx(LEASE_S, abs=5)


async def test_a_server_hears_that_its_lease_was_ended(
    first: Store, second: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "RENEW_EVERY_S", 0.01)
    monkeypatch.setattr(first.lease, "_renews", True)
    lost = asyncio.Event()
    keeping = asyncio.create_task(first.lease.keep(lost.set))
    renewed = select(Replica.expires_at).where(Replica.id == first.replica)
    await lapse(second, first)
    async with asyncio.timeout(5):
        while True:
            async with second.reading() as connection:
                if (await connection.scalar(renewed) or 0) > 1:
                    break
        assert not lost.is_set()
        await second.lease.end_others()
        await lost.wait()
        await keeping
