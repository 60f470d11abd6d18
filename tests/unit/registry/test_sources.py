"""Services that are not running are listed and chosen too, by whoever may see and use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from hypha.addresses import ServiceQuery
from hypha.auth.users import Context
from hypha.errors import AmbiguousService, PermissionDenied, ServiceNotFound
from hypha.registry.balance import Selection
from hypha.registry.index import Registry, ServiceFilter
from hypha.registry.query import Listing
from hypha.registry.records import ServiceRecord
from hypha.registry.roster import LocalRoster
from hypha.registry.sources import Sources
from tests.kit.registry import Register


class Installed:
    """A second source: what could be started, and for whom it was."""

    def __init__(self, registry: Registry) -> None:
        self.records: list[ServiceRecord] = []
        self.started_by: list[str] = []
        self._registry = registry

    def add(self, name: str, **fields: Any) -> None:
        self.records.append(ServiceRecord("w", "*", name, app_id="app", **fields))

    async def candidates(self, query: ServiceQuery) -> Sequence[ServiceRecord]:
        return await self.find(ServiceFilter(query.workspace, name=query.name))

    async def find(self, wanted: ServiceFilter) -> Sequence[ServiceRecord]:
        return [record for record in self.records if wanted.matches(record)]

    async def running(self, record: ServiceRecord, context: Context) -> ServiceRecord:
        self.started_by.append(context.user.id)
        started = replace(record, client_id="started")
        self._registry.add(started)
        return started


@pytest.fixture
def installed(registry: Registry) -> Installed:
    return Installed(registry)


@pytest.fixture
def sources(registry: Registry, installed: Installed) -> Sources:
    sources = Sources(registry)
    sources.add(installed)
    return sources


@pytest.fixture
def selection(sources: Sources) -> Selection:
    unused: Any = None
    no_clients: Any = SimpleNamespace(client=lambda workspace, client_id: None)
    return Selection(sources, LocalRoster(no_clients), unused)


async def choose(selection: Selection, name: str, context: Context, mode: str | None = None) -> ServiceRecord:
    return await selection.choose(ServiceQuery.parse(name, "w"), context, mode)


async def test_what_is_not_running_is_started_for_who_asks_for_it(
    selection: Selection, installed: Installed, member: Context
) -> None:
    installed.add("s")
    assert (await choose(selection, "s", member)).id == "w/started:s"
    assert (await choose(selection, "s", member)).id == "w/started:s"
    assert installed.started_by == [member.user.id]  # the second time it was running


async def test_nothing_is_started_for_those_who_may_not_use_it(
    selection: Selection, installed: Installed, stranger: Context
) -> None:
    installed.add("s")
    with pytest.raises(PermissionDenied):
        await choose(selection, "w/s", stranger)
    assert installed.started_by == []


async def test_what_runs_comes_first(
    selection: Selection, installed: Installed, register: Register, member: Context
) -> None:
    installed.add("s")
    register("w/a:s")
    assert (await choose(selection, "s", member)).id == "w/a:s"
    assert installed.started_by == []


async def test_one_of_several_is_started_and_none_without_a_mode(
    selection: Selection, installed: Installed, member: Context
) -> None:
    installed.add("s", type="first")
    installed.add("s", type="second")
    with pytest.raises(AmbiguousService):
        await choose(selection, "s", member)
    assert installed.started_by == []
    assert (await choose(selection, "s", member, "last")).type == "second"


async def test_nothing_anywhere_is_not_found(selection: Selection, member: Context) -> None:
    with pytest.raises(ServiceNotFound):
        await choose(selection, "s", member)


async def test_what_is_not_running_is_listed_on_demand(
    sources: Sources, installed: Installed, register: Register, member: Context, stranger: Context
) -> None:
    installed.add("s")
    installed.add("open", visibility="public")
    register("w/a:own")
    listing = Listing(sources)

    async def names(context: Context, query: str, *, running_only: bool) -> list[str]:
        found = await listing.records(context, query, running_only=running_only)
        return [record.id for record in found]

    assert await names(member, "w", running_only=True) == ["w/a:own"]
    assert await names(member, "w", running_only=False) == ["w/a:own", "w/*:s", "w/*:open"]
    assert await names(stranger, "w", running_only=False) == ["w/*:open"]
    assert await names(member, "*", running_only=False) == ["w/a:own", "w/*:s", "w/*:open"]
