"""Workspaces that are taken from an account while somebody still acts with its tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from hypha.errors import NotAuthenticated
from hypha.features.accounts.held import Held
from hypha.features.accounts.held_records import HeldWorkspaces
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
    held = Held(tenants.workspaces, tenants.store, HeldWorkspaces(tenants.store))
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
