"""Workspaces that are taken from an account while somebody still acts with its tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from hypha.errors import NotAuthenticated
from hypha.features.accounts.held import Held
from hypha.features.accounts.held_records import HeldWorkspaces, hold_workspaces
from hypha.store import Store
from tests.unit.workspaces.tenancy_kit import Tenants, acting, person


@pytest.fixture
async def tenants() -> AsyncIterator[Tenants]:
    """A tenancy of its own, started."""
    async with Store(":memory:") as store:
        made = Tenants(store)
        await made.workspaces.start()
        yield made


SQUATTER = replace(person("local-ann"), credential="mark-of-a-token")
OWN = SQUATTER.own_workspace


async def create(tenants: Tenants) -> object:
    config = {"id": "the-lab", "persistent": True, "owners": ["accomplice"]}
    return await tenants.catalogue.create(config, acting(SQUATTER))


async def plant(tenants: Tenants) -> object:
    return await tenants.environment.set(acting(SQUATTER), "PROXY", "https://evil.example")


@pytest.mark.parametrize("act", [create, plant])
async def test_nothing_begun_before_an_account_started_clean_is_done_after(
    tenants: Tenants, act: Callable[[Tenants], Awaitable[object]]
) -> None:
    held = Held(tenants.workspaces, tenants.store.workspaces, HeldWorkspaces(tenants.store))
    async with held.changing(SQUATTER.id):
        begun = asyncio.ensure_future(act(tenants))
        for _ in range(20):  # as far as it comes
            await asyncio.sleep(0)
        assert await tenants.store.workspaces.get("the-lab") is None
        assert SQUATTER.credential
        tenants.tokens.revocations.apply({SQUATTER.credential: time.time() + 600})
    with pytest.raises(NotAuthenticated, match="revoked"):
        await begun
    for workspace in ("the-lab", OWN):
        assert await tenants.store.workspaces.get(workspace) is None


async def test_whoever_keeps_something_for_workspaces_hears_which_ended(tenants: Tenants) -> None:
    ended: list[str] = []

    async def hear(workspace: str) -> None:
        assert await tenants.store.workspaces.get(workspace) is None
        ended.append(workspace)

    tenants.workspaces.endings.follow(hear)
    ann = acting(person("local-ann"))
    held = Held(tenants.workspaces, tenants.store.workspaces, HeldWorkspaces(tenants.store))
    await tenants.environment.set(ann, "A", "b")
    for name in ("kept-lab", "lost-lab"):
        await tenants.catalogue.create({"id": name, "persistent": True}, ann)
    await tenants.catalogue.create({"id": "short-lab"}, ann)
    async with held.changing("local-ann"):
        async with tenants.store.writing() as connection:
            taken = await hold_workspaces(connection, "local-ann", now=1.0, until=2.0)
        await held.apply(taken)
    assert sorted(ended) == ["short-lab", ann.workspace]
    await held.settle("local-ann", "kept-lab", keep=True)
    await held.settle("local-ann", "lost-lab", keep=False)
    assert sorted(ended) == ["lost-lab", "short-lab", ann.workspace]
