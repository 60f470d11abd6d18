"""A manager with a fake hub."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from hypha.registry.balance import Selection
from hypha.registry.calling import Calling
from hypha.registry.directory import Directory
from hypha.registry.index import Registry
from hypha.registry.roster import LocalRoster
from hypha.registry.sources import Sources
from hypha.store import Store
from hypha.workspaces.parts import Parts
from tests.kit.manager import FakeHub, level_in_token
from tests.unit.workspaces.tenancy_kit import Tenants


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with Store(":memory:") as opened:
        yield opened


@pytest.fixture
async def tenants(store: Store) -> Tenants:
    """A tenancy of its own, started."""
    made = Tenants(store)
    await made.workspaces.start()
    return made


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub()


@pytest.fixture
def settings() -> Any:
    return SimpleNamespace(
        max_services_per_client=5,
        max_services_per_workspace=50,
        max_service_bytes_per_client=20_000,
        max_service_bytes_per_workspace=0,
        max_service_bytes=0,
    )


@pytest.fixture
async def parts(hub: FakeHub, settings: Any) -> AsyncIterator[Parts]:
    registry = Registry()
    selection = Selection(Sources(registry), LocalRoster(hub), hub)  # type: ignore[arg-type]
    unused: Any = None
    calling = Calling(registry, selection, unused, hub, "http://host:1")
    no_owners: Any = SimpleNamespace(workspaces=SimpleNamespace(level_in=level_in_token))
    made = Parts(
        hub=hub,  # type: ignore[arg-type]
        peer=hub,
        registry=registry,
        selection=selection,
        directory=Directory(calling, "http://host:1", dict),
        tenancy=no_owners,
        tokens=unused,
        settings=settings,
        keep_subscriptions=hub.keep_subscriptions,
    )
    yield made
    await made.background.close()
