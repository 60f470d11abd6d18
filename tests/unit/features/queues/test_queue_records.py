"""Tasks in the database: their order, leases, and how many a workspace may keep."""

from __future__ import annotations

import asyncio

import pytest

from hypha.errors import QuotaExceeded
from hypha.features.queues.records import KIND, Queues
from hypha.store import Store, WorkspaceRecord
from hypha.store.usage import Allowance, Quota

LAB = WorkspaceRecord("lab", created_by="alice")
OTHER = WorkspaceRecord("other", created_by="alice")


def allowance(count: int = 100, size: int = 10_000, person: int = 0, all_: int = 0) -> Allowance:
    return Allowance(Quota(count, size, "tasks", "Take some."), person, all_)


@pytest.fixture
def queues(store: Store) -> Queues:
    return Queues(store, store.usage)


async def used(store: Store, workspace: str = "lab") -> tuple[int, int] | None:
    return (await store.usage.of(workspace)).get(KIND)


async def test_a_look_takes_as_many_bytes_as_it_may(queues: Queues) -> None:
    for size in (5, 5, 1):
        await queues.push(LAB, "jobs", bytes(size), 1.0)
    for most, found in ((4, [5]), (5, [5]), (10, [5, 5]), (11, [5, 5, 1])):
        tasks = await queues.peek(LAB.id, "jobs", 2.0, 10, most)
        assert [len(task) for task in tasks] == found
    assert await queues.peek(LAB.id, "none", 2.0, 10, 10) == []


async def test_what_is_taken_or_done_makes_room(store: Store, queues: Queues) -> None:
    for _ in range(3):
        await queues.push(LAB, "jobs", bytes(100), 1.0)
    assert await queues.take("lab", "jobs", 2.0)
    assert await queues.take("lab", "jobs", 2.0, "receipt", 60.0)
    assert await used(store) == (2, 200), "one is on lease"
    assert await queues.finish("lab", "jobs", "receipt")
    assert not await queues.finish("lab", "jobs", "receipt")
    assert await used(store) == (1, 100)


async def test_a_workspace_its_person_and_all_keep_no_more_than_theirs(store: Store, queues: Queues) -> None:
    for _ in range(3):
        await queues.push(LAB, "jobs", bytes(200), 1.0, allowance(count=3))
    with pytest.raises(QuotaExceeded, match=r"lab keeps too many tasks: at most 3.*Take some\."):
        await queues.push(LAB, "jobs", bytes(200), 1.0, allowance(count=3))
    with pytest.raises(QuotaExceeded):
        await queues.push(LAB, "jobs", bytes(5000), 1.0, allowance(size=4000))
    assert await used(store) == (3, 600), "a refused one changes nothing"
    with pytest.raises(QuotaExceeded, match="workspaces of alice"):
        await queues.push(OTHER, "jobs", bytes(600), 1.0, allowance(person=1000))
    with pytest.raises(QuotaExceeded, match="all workspaces"):
        await queues.push(OTHER, "jobs", bytes(600), 1.0, allowance(all_=1000))
    await queues.push(OTHER, "jobs", bytes(600), 1.0, allowance(person=10_000, all_=10_000))


async def test_concurrent_writers_never_pass_a_quota(store: Store, queues: Queues) -> None:
    tries = [queues.push(LAB, "jobs", bytes(10), 1.0, allowance(count=7)) for _ in range(20)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, QuotaExceeded) for result in results) == 13
    assert await used(store) == (7, 70)


async def test_tasks_end_with_their_workspace(store: Store, queues: Queues) -> None:
    await queues.push(LAB, "jobs", b"x", 1.0)
    await store.workspaces.delete(["lab"])
    assert await used(store) is None
    assert await queues.length("lab", "jobs", 2.0) == 0
