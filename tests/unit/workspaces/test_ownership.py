"""A server deletes nothing that the clients of another one come back to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hypha.store import Store
from hypha.workspaces.membership import Members
from tests.kit.databases import lapse, replica_of
from tests.kit.manager import FakeHub
from tests.unit.workspaces.tenancy_kit import Tenants, acting


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/records.db"


@pytest.fixture
async def first(uri: str) -> AsyncIterator[Tenants]:
    """The tenancy of a replica, started."""
    async with replica_of(uri) as store:
        made = Tenants(store)
        await made.workspaces.start()
        yield made


@pytest.fixture
async def second_store(uri: str) -> AsyncIterator[Store]:
    async with replica_of(uri) as store:
        yield store


async def started(store: Store) -> Tenants:
    """The tenancy of a server that starts now, and what it makes of what others left."""
    made = Tenants(store)
    await made.workspaces.start()
    return made


async def after_the_window(tenants: Tenants) -> None:
    tenants.clock.advance(tenants.settings.resume_window_s + 1)
    await tenants.settle()


async def test_temporary_workspaces_of_another_server_stay(first: Tenants, second_store: Store) -> None:
    identity = await first.connect()
    await first.environment.set(acting(identity.user, identity.workspace), "K", "v")
    second = await started(second_store)
    await after_the_window(second)
    assert await second_store.workspaces.get(identity.workspace) is not None
    assert await first.environment.get(acting(identity.user, identity.workspace), "K") == "v"
    await first.leave(identity)
    assert await second_store.workspaces.get(identity.workspace) is None, "its own server ends it"


async def test_a_workspace_that_another_server_opened_is_not_ended_here(
    first: Tenants, second_store: Store
) -> None:
    identity = await first.connect()
    await first.environment.set(acting(identity.user, identity.workspace), "K", "v")
    ended: list[str] = []
    second = await started(second_store)

    async def hear(workspace: str) -> None:
        ended.append(workspace)

    second.workspaces.endings.follow(hear)
    assert await second.workspaces.load(identity.workspace) is not None
    assert not await second.workspaces.remove_if_empty(identity.workspace)
    assert ended == [] and second.workspaces.get(identity.workspace) is None
    assert await first.environment.get(acting(identity.user, identity.workspace), "K") == "v"


async def test_those_of_a_server_that_is_gone_wait_for_their_clients_at_the_next(
    first: Tenants, second_store: Store
) -> None:
    identity = await first.connect()
    await first.environment.set(acting(identity.user, identity.workspace), "K", "v")
    await lapse(second_store, first.store)
    assert await second_store.lease.end_lapsed() == 1
    second = await started(second_store)
    second.clock.advance(second.settings.resume_window_s - 1)
    await second.settle()
    assert await second_store.workspaces.get(identity.workspace) is not None
    second.clock.advance(2)
    await second.settle()
    assert await second_store.workspaces.get(identity.workspace) is None


async def test_a_frozen_server_ends_nothing_that_was_taken_over_meanwhile(
    first: Tenants, second_store: Store
) -> None:
    identity = await first.connect()
    await first.environment.set(acting(identity.user, identity.workspace), "K", "v")
    await lapse(second_store, first.store)
    await second_store.lease.end_lapsed()
    second = await started(second_store)
    await first.leave(identity)
    assert await second_store.environment.all(identity.workspace) != {}
    assert second.workspaces._left_over == {identity.workspace}


async def test_subscriptions_of_clients_of_another_server_stay(uri: str, second_store: Store) -> None:
    def members(store: Store) -> Members:
        unused: Any = SimpleNamespace()
        return Members(FakeHub(), unused, unused, store.subscriptions, unused)  # type: ignore[arg-type]

    async with replica_of(uri) as first_store:
        await first_store.subscriptions.put("lab", "c", ["x"])
        beside = members(second_store)
        await beside.load()
        await beside.forget_absent()
    after = members(second_store)  # the first one is gone
    await after.load()
    assert after._before == {("lab", "c"): frozenset({"x"})}
    await after.forget_absent()
    assert await second_store.subscriptions.adopt() == {}
    async with replica_of(uri) as third_store:
        await second_store.lease.release()
        assert await third_store.subscriptions.adopt() == {}
