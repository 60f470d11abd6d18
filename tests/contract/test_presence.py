"""What every presence does; each implementation is held against the same cases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from hypha.errors import LeaseLost
from hypha.presence.base import Presence
from hypha.presence.entries import (
    Change,
    ClientChanged,
    ClientEntered,
    ClientEntry,
    ClientLeft,
    Entered,
    Full,
    Limits,
    Offered,
    ReplicaEnded,
    ReplicaEntry,
    Rival,
    Room,
    ServiceEntry,
    ServiceOffered,
    ServiceWithdrawn,
    Superseded,
    Taken,
    Wanted,
)
from tests.kit.deployments import Deployment
from tests.kit.redis_deployment import deployed

LAB = "lab"
Wish = Callable[[], Awaitable[Any]]


@pytest_asyncio.fixture(params=["memory", "redis", "valkey"])
async def deployment(request: pytest.FixtureRequest) -> AsyncIterator[Deployment]:
    async with deployed(request) as made:
        yield made


@pytest.fixture
async def a(deployment: Deployment) -> Presence:
    return await deployment.presence("a")


@pytest.fixture
async def b(deployment: Deployment) -> Presence:
    return await deployment.presence("b")


async def enter(at: Presence, client_id: str = "c", workspace: str = LAB, **more: Any) -> ClientEntry:
    entered = await at.enter(ClientEntry(workspace, client_id, "alice", facts=b"facts"), **more)
    assert isinstance(entered, Entered)
    return entered.client


def service(client: ClientEntry, name: str = "s", **more: Any) -> ServiceEntry:
    return ServiceEntry(client.workspace, client.client_id, name, client.generation, **more)


async def offer(at: Presence, client: ClientEntry, name: str = "s", **more: Any) -> ServiceEntry:
    offered = await at.offer(service(client, name, **more))
    assert isinstance(offered, Offered)
    return offered.service


async def names(at: Presence, **wanted: str) -> list[str]:
    return [f"{found.client_id}:{found.name}" for found in await at.services(Wanted(**wanted))]


async def heard_by(presence: Presence, *workspaces: str) -> list[Change]:
    """What a replica hears from now on."""
    heard: list[Change] = []
    presence.follow(heard.append)
    for workspace in workspaces:
        await presence.watch(workspace)
    return heard


# -- clients


async def test_a_client_is_found_by_all_replicas(a: Presence, b: Presence) -> None:
    entered = await enter(a)
    assert (entered.replica, entered.user_id, entered.facts) == ("a", "alice", b"facts")
    for at in (a, b):
        assert await at.client(LAB, "c") == entered
        assert await at.clients(LAB) == [entered]
        assert await at.client("other", "c") is None and await at.clients("other") == []


async def test_clients_are_listed_by_their_ids_up_to_a_limit(a: Presence, b: Presence) -> None:
    for number in (3, 1, 2):
        await enter(a if number % 2 else b, f"c{number}")
    assert [client.client_id for client in await b.clients(LAB)] == ["c1", "c2", "c3"]
    assert [client.client_id for client in await b.clients(LAB, limit=2)] == ["c1", "c2"]


async def test_an_id_that_is_taken_is_refused_without_any_effect(a: Presence, b: Presence) -> None:
    first = await enter(a)
    await offer(a, first)
    for at in (a, b):
        assert await at.enter(ClientEntry(LAB, "c", "mallory")) == Taken(first)
        assert await at.enter(ClientEntry(LAB, "c", "mallory"), over=first.generation - 1) == Taken(first)
    assert await b.client(LAB, "c") == first
    assert await names(b, workspace=LAB) == ["c:s"]


async def test_of_many_who_want_one_id_one_gets_it(a: Presence, b: Presence) -> None:
    wishes = (at.enter(ClientEntry(LAB, "c", f"user-{n}")) for n in range(10) for at in (a, b))
    got = [wish for wish in await asyncio.gather(*wishes) if isinstance(wish, Entered)]
    assert [wish.client for wish in got] == [await a.client(LAB, "c")]


async def test_generations_grow_over_stays_also_when_none_is_left(a: Presence, b: Presence) -> None:
    generations = []
    for at in (a, b, a):
        entered = await enter(at)
        generations.append(entered.generation)
        at.leave(LAB, "c", entered.generation)
        await at.flush()
    assert generations == sorted(set(generations)) and generations[0] > 0


@pytest.mark.parametrize("keeps_services", [True, False])
async def test_a_client_moves_with_its_services_or_a_successor_begins_without(
    a: Presence, b: Presence, keeps_services: bool
) -> None:
    first = await enter(a)
    kept = await offer(a, first)
    moved = await enter(b, over=first.generation, keeps_services=keeps_services)
    assert moved.generation > first.generation and moved.replica == "b"
    found = await a.services(Wanted(LAB))
    expected = replace(kept, generation=moved.generation, replica="b")
    assert found == ([expected] if keeps_services else [])


async def test_a_place_that_has_become_free_may_be_taken_over_as_well(a: Presence, b: Presence) -> None:
    first = await enter(a)
    a.leave(LAB, "c", first.generation)
    await a.flush()
    assert (await enter(b, over=first.generation)).replica == "b"


async def test_a_client_leaves_with_its_services(a: Presence, b: Presence) -> None:
    client = await enter(a)
    await offer(a, client)
    await offer(a, await enter(a, "d"))
    a.leave(LAB, "c", client.generation)
    await a.flush()
    assert await b.client(LAB, "c") is None
    assert await names(b, workspace=LAB) == ["d:s"]


async def test_what_leaves_late_removes_nothing_that_came_after(a: Presence, b: Presence) -> None:
    first = await enter(a)
    second = await enter(b, over=first.generation)
    await offer(b, second)
    a.leave(LAB, "c", first.generation)
    a.leave(LAB, "c", second.generation)  # it is not a's client
    a.change(LAB, "c", first.generation, is_live=False)
    await a.flush()
    assert await a.client(LAB, "c") == second
    assert await names(a, workspace=LAB) == ["c:s"]
    assert await a.offer(service(first)) == Superseded()
    assert await a.offer(service(second)) == Superseded()
    assert await a.withdraw(LAB, "c", "s", first.generation) is None


async def test_a_client_between_two_links_is_known_to_be(a: Presence, b: Presence) -> None:
    client = await enter(a)
    await offer(a, client)
    for is_live in (False, True):
        a.change(LAB, "c", client.generation, is_live=is_live)
        await a.flush()
        assert await b.client(LAB, "c") == replace(client, is_live=is_live)
        assert [found.is_live for found in await b.services(Wanted(LAB))] == [is_live]


async def test_what_is_posted_is_done_in_order(a: Presence, b: Presence) -> None:
    client = await enter(a)
    a.change(LAB, "c", client.generation, is_live=False)
    a.leave(LAB, "c", client.generation)
    again = await enter(a)
    assert await b.client(LAB, "c") == again


# -- services


async def test_services_are_found_by_each_of_their_parts(a: Presence, b: Presence) -> None:
    c, d, far = await enter(a), await enter(b, "d"), await enter(a, workspace="far")
    await offer(a, c, "s", type="echo", app_id="app")
    await offer(b, d, "s", is_public=True)
    await offer(b, d, "t", type="echo", is_public=True, app_id="app")
    await offer(a, far, "s", is_public=True)
    for at in (a, b):
        assert await names(at, workspace=LAB) == ["c:s", "d:s", "d:t"]
        assert await names(at, workspace=LAB, name="s") == ["c:s", "d:s"]
        assert await names(at, workspace=LAB, type="echo") == ["c:s", "d:t"]
        assert await names(at, workspace=LAB, app_id="app", type="echo", client_id="d") == ["d:t"]
        assert await names(at, workspace=LAB, client_id="d") == ["d:s", "d:t"]
        assert await names(at, workspace=LAB, client_id="d", name="nothing") == []
        assert await names(at, workspace="nowhere") == []
        assert await names(at) == ["c:s", "d:s", "d:t"], "the public ones, workspace by workspace"
        assert await names(at, name="s") == ["c:s", "d:s"]
        assert await names(at, type="echo", app_id="app") == ["d:t"]
        assert len(await at.services(Wanted(LAB), limit=2)) == 2


async def test_a_found_service_says_where_it_is(a: Presence, b: Presence) -> None:
    client = await enter(a)
    given = service(client, record=b"\x00packed\xff", type="echo")
    await a.offer(given)
    (found,) = await b.services(Wanted(LAB, "c", "s"))
    assert found == replace(given, order=found.order, replica="a", is_live=True)
    assert (found.record, found.generation) == (b"\x00packed\xff", client.generation)


async def test_a_replaced_service_keeps_its_place(a: Presence, b: Presence) -> None:
    client = await enter(a)
    first = await offer(a, client, "s", type="old")
    await offer(a, client, "t")
    offered = await a.offer(service(client, "s", type="new"))
    assert offered == Offered(replace(first, type="new"), replaced=first, displaced=())
    assert await names(b, workspace=LAB) == ["c:s", "c:t"]
    assert await names(b, workspace=LAB, type="old") == []


async def test_any_replica_may_withdraw_a_service_that_it_has_seen(a: Presence, b: Presence) -> None:
    client = await enter(a)
    known = await offer(a, client)
    assert await b.withdraw(LAB, "c", "s", client.generation) == known
    assert await b.withdraw(LAB, "c", "s", client.generation) is None
    assert await names(a, workspace=LAB) == []


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_singleton_and_another_of_its_name_are_not_side_by_side(
    a: Presence, b: Presence, is_first: bool
) -> None:
    first, second = await enter(a), await enter(b, "d")
    known = await offer(a, first, is_singleton=is_first)
    wanted = service(second, is_singleton=not is_first)
    assert await b.offer(wanted) == Rival(known)
    assert await names(b, workspace=LAB) == ["c:s"]
    a.change(LAB, "c", first.generation, is_live=False)
    await a.flush()
    offered = await b.offer(wanted)
    assert isinstance(offered, Offered) and offered.displaced == (replace(known, is_live=False),)
    assert await names(a, workspace=LAB) == ["d:s"]
    await offer(b, second, is_singleton=True)  # its own is no rival of it


async def test_of_many_singletons_of_one_name_one_gets_it(a: Presence, b: Presence) -> None:
    clients = [(at, await enter(at, f"{at.replica}{n}")) for n in range(5) for at in (a, b)]
    wishes = [at.offer(service(client, is_singleton=True)) for at, client in clients]
    results = await asyncio.gather(*wishes)
    assert sum(isinstance(result, Offered) for result in results) == 1
    assert len(await a.services(Wanted(LAB))) == 1


@pytest.mark.parametrize("is_workspace", [True, False])
async def test_services_are_bounded_in_number_and_size(a: Presence, b: Presence, is_workspace: bool) -> None:
    def limits(**room: int) -> Limits:
        return Limits(**{"workspace" if is_workspace else "client": Room(**room)})

    client = await enter(a)
    await a.offer(service(client, "built-in", is_built_in=True, record=b"x" * 50))
    await offer(a, client, "s", record=b"12345")
    third = service(client, "t", record=b"67890")
    if is_workspace:
        elsewhere = await enter(b, "d")
        third, at = service(elsewhere, "t", record=b"67890"), b
    else:
        at = a
    used = Room(1, 5)
    assert await at.offer(third, limits(count=1)) == Full(is_workspace, used)
    assert isinstance(await at.offer(replace(third, is_built_in=True), limits(count=1)), Offered)
    await at.withdraw(*third.key, third.generation)
    assert await at.offer(third, limits(size_bytes=9)) == Full(is_workspace, used)
    assert len(await b.services(Wanted(LAB))) == 2
    smaller = await a.offer(service(client, "s", record=b"1234"), limits(count=1, size_bytes=3))
    assert isinstance(smaller, Offered), "what replaces another one and is no larger is not more"
    assert isinstance(await at.offer(third, limits(count=2, size_bytes=9)), Offered)
    await a.withdraw(LAB, "c", "s", client.generation)
    again = await a.offer(service(client, "s", record=b"1234"), limits(count=2, size_bytes=9))
    assert isinstance(again, Offered), "what has gone is not counted"


async def test_the_endpoint_that_every_client_hosts_is_no_rival(a: Presence) -> None:
    for client_id in ("c", "d"):
        await offer(a, await enter(a, client_id), "built-in", is_built_in=True, is_singleton=True)
    await offer(a, await enter(a, "e"), "mine", is_singleton=True)
    await offer(a, await enter(a, "f"), "mine", is_built_in=True)
    assert await names(a, workspace=LAB, name="built-in") == ["c:built-in", "d:built-in"]


# -- leases


async def test_replicas_are_listed_with_what_they_tell_of_themselves(a: Presence, b: Presence) -> None:
    both = [ReplicaEntry("a", b"facts of a"), ReplicaEntry("b", b"facts of b")]
    assert await b.replicas() == both
    await a.close()
    assert await b.replicas() == both[1:]


async def test_what_a_replica_entered_goes_with_it(a: Presence, b: Presence) -> None:
    await offer(a, await enter(a))
    await offer(b, await enter(b, "d"))
    await a.close()
    assert await b.client(LAB, "c") is None
    assert await names(b, workspace=LAB) == ["d:s"]


async def test_a_lease_that_is_not_renewed_is_ended_by_the_others(
    deployment: Deployment, a: Presence, b: Presence
) -> None:
    await offer(a, await enter(a))
    await deployment.pass_time(deployment.lease_s * 0.8)
    await b.renew()
    assert await b.client(LAB, "c") is not None
    await deployment.pass_time(deployment.lease_s * 0.8)
    await b.renew()
    assert await b.client(LAB, "c") is None and await names(b, workspace=LAB) == []
    assert [entry.replica for entry in await b.replicas()] == ["b"]


async def test_a_lease_that_is_renewed_lasts(deployment: Deployment, a: Presence, b: Presence) -> None:
    await enter(a)
    for _ in range(5):
        await deployment.pass_time(deployment.lease_s * 0.8)
        await a.renew()
        await b.renew()
    assert await b.client(LAB, "c") is not None


async def test_a_late_replica_goes_on_if_nobody_has_ended_it(
    deployment: Deployment, a: Presence, b: Presence
) -> None:
    client = await enter(a)
    await deployment.pass_time(deployment.lease_s * 2)
    await a.renew()
    with pytest.raises(LeaseLost):  # a has noticed that b is late as well
        await b.renew()
    assert await a.client(LAB, "c") == client


async def test_a_frozen_replica_changes_nothing_after_its_lease(
    deployment: Deployment, a: Presence, b: Presence
) -> None:
    frozen = await enter(a)
    await deployment.pass_time(deployment.lease_s * 2)
    await b.renew()
    client = await enter(b)  # it has come to the other replica meanwhile
    known = await offer(b, client)
    refused: list[Wish] = [
        a.renew,
        lambda: a.enter(ClientEntry(LAB, "d", "alice")),
        lambda: a.enter(ClientEntry(LAB, "c", "alice"), over=client.generation),
        lambda: a.offer(service(frozen)),
        lambda: a.withdraw(LAB, "c", "s", client.generation),
        lambda: a.watch(LAB),
    ]
    for wish in refused:
        with pytest.raises(LeaseLost):
            await wish()
    a.leave(LAB, "c", client.generation)
    a.leave(LAB, "c", frozen.generation)
    a.change(LAB, "c", client.generation, is_live=False)
    await a.flush()
    assert await b.clients(LAB) == [client]
    assert await b.services(Wanted(LAB)) == [known]


async def test_a_replica_that_lost_its_lease_begins_anew(
    deployment: Deployment, a: Presence, b: Presence
) -> None:
    before = await enter(a)
    await deployment.pass_time(deployment.lease_s * 2)
    await b.renew()
    await a.open()
    assert await a.client(LAB, "c") is None
    client = await enter(a)
    assert client.generation > before.generation
    await offer(a, client)
    assert await names(b, workspace=LAB) == ["c:s"]


async def test_a_restarted_replica_ends_what_stood_on_the_lease_before(
    deployment: Deployment, a: Presence, b: Presence
) -> None:
    await offer(a, await enter(a))
    again = await deployment.presence("a")
    assert await b.client(LAB, "c") is None and await names(b, workspace=LAB) == []
    with pytest.raises(LeaseLost):
        await a.renew()
    await enter(again)
    await a.close()  # which must not end the lease of the new one
    assert await b.client(LAB, "c") is not None


# -- what others hear


async def test_those_who_watch_a_workspace_hear_what_others_change_in_it(
    deployment: Deployment, a: Presence, b: Presence
) -> None:
    heard, own = await heard_by(b, LAB), await heard_by(a, LAB)
    client = await enter(a)
    await enter(a, workspace="other")
    known = await offer(a, client)
    changed = await offer(a, client, type="new")
    await offer(a, client, type="new")  # which is no change
    a.change(LAB, "c", client.generation, is_live=False)
    a.leave(LAB, "c", client.generation)
    await a.flush()
    await deployment.settle()
    away = replace(client, is_live=False)
    assert heard == [
        ClientEntered(client, None),
        ServiceOffered(known, None),
        ServiceOffered(changed, known),
        ClientChanged(away),
        ServiceWithdrawn(replace(changed, is_live=False)),
        ClientLeft(away),
    ]
    assert own == [], "who makes a change knows of it"


async def test_who_stops_watching_hears_no_more(deployment: Deployment, a: Presence, b: Presence) -> None:
    heard = await heard_by(b, LAB)
    b.unwatch(LAB)
    await b.flush()
    await enter(a)
    await deployment.settle()
    assert heard == []


async def test_a_replica_hears_what_becomes_of_its_own_clients(
    deployment: Deployment, a: Presence, b: Presence
) -> None:
    heard = await heard_by(a)  # it watches nothing
    client, kept = await enter(a), await enter(a, "d")
    known, other = await offer(a, client), await offer(a, kept)
    await b.withdraw(LAB, "c", "s", client.generation)
    moved = await enter(b, over=client.generation)
    kept_moved = await enter(b, "d", over=kept.generation, keeps_services=True)
    await deployment.settle()
    assert heard == [
        ServiceWithdrawn(known),
        ClientEntered(moved, client.generation),
        ClientEntered(kept_moved, kept.generation),
    ]
    assert await a.services(Wanted(LAB)) == [replace(other, generation=kept_moved.generation, replica="b")]


async def test_a_successor_ends_the_services_of_the_one_before_where_they_are_watched(
    deployment: Deployment, a: Presence, b: Presence
) -> None:
    client = await enter(a)
    known = await offer(a, client)
    heard = await heard_by(a)
    successor = await enter(b, over=client.generation)
    await deployment.settle()
    assert heard == [ServiceWithdrawn(known), ClientEntered(successor, client.generation)]


@pytest.mark.parametrize("how", ["closed", "lapsed", "restarted"])
async def test_the_end_of_a_replica_is_heard_by_all_and_last(
    deployment: Deployment, a: Presence, b: Presence, how: str
) -> None:
    heard = await heard_by(b, LAB)
    far = await heard_by(third := await deployment.presence("third"))
    client = await enter(a)
    known = await offer(a, client)
    await deployment.settle()
    heard.clear()
    if how == "closed":
        await a.close()
    elif how == "lapsed":
        await deployment.pass_time(deployment.lease_s * 0.8)
        await third.renew()
        await b.renew()
        await deployment.pass_time(deployment.lease_s * 0.8)
        await third.renew()
    else:
        await deployment.presence("a")
    await deployment.settle()
    assert heard == [ServiceWithdrawn(known), ClientLeft(client), ReplicaEnded("a")]
    assert far == [ReplicaEnded("a")]


async def test_a_replica_that_was_taken_for_gone_hears_nothing_until_it_begins_anew(
    deployment: Deployment, a: Presence, b: Presence
) -> None:
    heard = await heard_by(a, LAB)
    await deployment.pass_time(deployment.lease_s * 2)
    await b.renew()
    await enter(b)
    await deployment.settle()
    assert heard == []
    await a.open()
    await enter(b, "d")
    await a.watch(LAB)
    client = await enter(b, "e")
    await deployment.settle()
    assert heard == [ClientEntered(client, None)]
