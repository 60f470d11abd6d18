"""What a workspace keeps is counted exactly, and bounded, in the transaction that changes it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hypha.errors import QuotaExceeded
from hypha.store import Store
from hypha.store.records import Bookmark, ServiceType, WorkspaceRecord
from hypha.store.usage import Allowance, Kind, Quota
from hypha.store.workspaces import ensure

LAB = WorkspaceRecord("lab", created_by="alice")
OTHER = WorkspaceRecord("other", created_by="alice")
TEMPORARY = WorkspaceRecord("ws-user-anonymouz-1", created_by="anonymouz-1")


def allowance(count: int = 100, size: int = 10_000, person: int = 0, all_: int = 0) -> Allowance:
    return Allowance(Quota(count, size, "things", "Delete some."), person, all_)


async def add(store: Store, kind: Kind, name: str, size: int, may: Allowance, record: Any = LAB) -> None:
    """One more entry of a kind."""
    text = "x" * size
    if kind is Kind.EVENTS:
        await store.events.add(record, "alice", name, text, 1.0, may)
    elif kind is Kind.VARIABLES:
        await store.environment.set(record, name, text.encode(), may)
    elif kind is Kind.TYPES:
        await store.service_types.add(record, ServiceType(name, description=text), 1.0, allowance=may)
    else:
        await store.bookmarks.put(record, Bookmark("workspace", name, description=text), 1.0, may)


async def used(store: Store, kind: Kind, workspace: str = "lab") -> tuple[int, int]:
    return (await store.usage.of(workspace)).get(kind, (0, 0))


@pytest.mark.parametrize("kind", Kind)
async def test_a_workspace_keeps_no_more_than_its_quota(store: Store, kind: Kind) -> None:
    for number in range(3):
        await add(store, kind, f"n{number}", 10, allowance(count=3))
    with pytest.raises(QuotaExceeded, match=r"lab keeps too many things: at most 3.*Delete some\."):
        await add(store, kind, "n3", 10, allowance(count=3))
    with pytest.raises(QuotaExceeded):
        await add(store, kind, "n3", 5000, allowance(size=4000))
    assert (await used(store, kind))[0] == 3, "a refused one changes nothing"
    await add(store, kind, "n0", 10, allowance(count=3), OTHER)


async def test_whether_there_is_room_is_asked_without_taking_it(store: Store) -> None:
    await add(store, Kind.EVENTS, "a", 600, allowance())
    kept = await used(store, Kind.EVENTS)
    for count, size, may in ((2, 0, allowance(count=2)), (0, 401, allowance(size=kept[1] + 400))):
        with pytest.raises(QuotaExceeded):
            await store.usage.check(LAB, Kind.EVENTS, count, size, may)
        await store.usage.check(LAB, Kind.EVENTS, count - 1, size - 1, may)
        await store.usage.check(LAB, Kind.EVENTS, count, size, None)
    await store.usage.check(LAB, Kind.EVENTS, 0, 0, allowance(count=0))
    assert await used(store, Kind.EVENTS) == kept


@pytest.mark.parametrize("kind", Kind)
async def test_a_person_and_all_together_keep_no_more_than_theirs(store: Store, kind: Kind) -> None:
    await add(store, kind, "a", 600, allowance())
    with pytest.raises(QuotaExceeded, match="workspaces of alice"):
        await add(store, kind, "b", 600, allowance(person=1000), OTHER)
    with pytest.raises(QuotaExceeded, match="all workspaces"):
        await add(store, kind, "b", 600, allowance(all_=1000), WorkspaceRecord("c", created_by="bob"))
    await add(store, kind, "b", 600, allowance(person=10_000, all_=10_000), OTHER)


async def test_anonymous_users_have_a_total_of_their_own(store: Store) -> None:
    await add(store, Kind.EVENTS, "a", 5000, allowance())
    await add(store, Kind.EVENTS, "a", 600, allowance(all_=1000), TEMPORARY)
    with pytest.raises(QuotaExceeded, match=r"anonymous users.*Sign in"):
        await add(store, Kind.EVENTS, "b", 600, allowance(all_=1000), TEMPORARY)


async def test_what_is_removed_makes_room(store: Store) -> None:
    await add(store, Kind.VARIABLES, "k", 50, allowance())
    await add(store, Kind.VARIABLES, "k", 80, allowance())
    assert await used(store, Kind.VARIABLES) == (1, 80)
    assert await store.environment.remove("lab", "k")
    assert not await store.environment.remove("lab", "k")
    await add(store, Kind.BOOKMARKS, "w", 50, allowance())
    await add(store, Kind.BOOKMARKS, "w", 80, allowance())
    assert (await used(store, Kind.BOOKMARKS))[0] == 1
    assert await store.bookmarks.remove("lab", "workspace", "w")
    for number in range(5):
        await store.events.add(LAB, "alice", "e", None, float(number))
    assert await store.events.forget(3.0, limit=2) == 2
    assert await store.events.forget(3.0) == 1
    counts = {kind: count for kind, (count, _) in (await store.usage.of("lab")).items()}
    assert counts == {"workspace_environment": 0, "bookmarks": 0, "event_logs": 2}
    assert await used(store, Kind.VARIABLES) == (0, 0)


async def test_a_workspace_that_ends_takes_its_counts_along(store: Store) -> None:
    for kind in Kind:
        await add(store, kind, "n", 10, allowance())
    await store.workspaces.delete(["lab"])
    assert await store.usage.of("lab") == {}


async def test_concurrent_writers_never_pass_a_quota(store: Store) -> None:
    tries = [add(store, Kind.VARIABLES, f"k{n}", 10, allowance(count=7)) for n in range(20)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, QuotaExceeded) for result in results) == 13
    assert await used(store, Kind.VARIABLES) == (7, 70)


async def test_events_are_found_up_to_a_size(store: Store) -> None:
    for number in range(5):
        await store.events.add(LAB, "alice", "e", "x" * 1000, float(number))
    found = await store.events.find("lab", "alice", None, None, None, 100, 2500)
    assert [event.timestamp for event in found] == [3.0, 4.0]
    assert len(await store.events.find("lab", "alice", None, None, None, 100, 10)) == 1


async def test_files_have_bounds_of_their_own(store: Store) -> None:
    async with store.writing() as connection:
        await ensure(connection, LAB, None)
        await store.usage.add(connection, LAB, "some_files", 1, 5000, allowance(person=1000, all_=1000))
    await add(store, Kind.EVENTS, "a", 600, allowance(person=1000, all_=1000))
    with pytest.raises(QuotaExceeded, match="too many things"):
        async with store.writing() as connection:
            await store.usage.add(connection, LAB, "some_files", 1, 6000, allowance())
