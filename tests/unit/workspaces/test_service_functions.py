"""Registering, unregistering and finding services through the manager."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from hypha.auth.scopes import Level
from hypha.errors import (
    Conflict,
    HyphaError,
    InvalidRequest,
    PermissionDenied,
    QuotaExceeded,
    ServiceNotFound,
)
from hypha.workspaces.functions_services import ServiceFunctions
from hypha.workspaces.parts import Parts
from tests.kit.manager import FakeClient, FakeHub, info, refused


@pytest.fixture
def services(parts: Parts) -> ServiceFunctions:
    return ServiceFunctions(parts)


@pytest.fixture
def alice(hub: FakeHub) -> FakeClient:
    return hub.join("w/alice")


async def register(services: ServiceFunctions, client: FakeClient, name: str, **more: Any) -> None:
    await services.register_service(info(client, name, **more), context=client.context)


async def listed(services: ServiceFunctions, client: FakeClient) -> list[str]:
    return [found["id"] for found in await services.list_services(context=client.context)]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.spec("wire-39", "core-M11")
async def test_registering_is_announced(services: ServiceFunctions, hub: FakeHub, alice: FakeClient) -> None:
    await register(services, alice, "built-in", type="built-in")
    await register(services, alice, "s")
    connected, added = hub.events.published
    assert connected == ("w", "client_connected", {"id": "w/alice", "workspace": "w"})
    assert added[:2] == ("w", "service_added")
    assert added[2]["id"] == "w/alice:s" and added[2]["config"]["created_by"] == {"id": "user-alice"}


@pytest.mark.spec("wire-31", "core-R5")
async def test_replacing_is_announced_as_removed_and_added(
    services: ServiceFunctions, hub: FakeHub, alice: FakeClient
) -> None:
    await register(services, alice, "s")
    await register(services, alice, "s")
    assert hub.kinds() == ["service_added", "service_removed", "service_added"]


@pytest.mark.spec("resume-10")
async def test_a_resumed_client_repeats_itself_without_events(
    services: ServiceFunctions, hub: FakeHub, alice: FakeClient
) -> None:
    await register(services, alice, "built-in")
    await register(services, alice, "s")
    alice.generation = 2
    hub.events.published.clear()
    await register(services, alice, "built-in")
    await register(services, alice, "s")
    assert hub.kinds() == ["client_updated"]
    await register(services, alice, "s", description="changed")
    assert hub.kinds() == ["client_updated", "service_removed", "service_added"]


@pytest.mark.spec("wire-10", "core-M6")
async def test_read_only_clients_register_built_in_only(services: ServiceFunctions, hub: FakeHub) -> None:
    reader = hub.join("w/reader", Level.READ)
    await register(services, reader, "built-in")
    with pytest.raises(PermissionDenied) as caught:
        await register(services, reader, "s")
    assert refused(caught) == "PermissionError: Permission denied for workspace w"
    assert await listed(services, reader) == ["w/reader:built-in"]


@pytest.mark.spec("wire-22")
async def test_callback_interfaces_are_dropped_silently(
    services: ServiceFunctions, hub: FakeHub, alice: FakeClient
) -> None:
    await register(services, alice, "_rintf_5")
    await register(services, alice, "s", config={"_local_only": True})
    assert await listed(services, alice) == [] and hub.events.published == []


async def test_a_client_that_left_is_ignored(
    services: ServiceFunctions, hub: FakeHub, alice: FakeClient
) -> None:
    del hub.clients["w/alice"]
    await register(services, alice, "s")
    assert len(services._parts.registry) == 0


async def test_the_quota_counts_services_without_built_in(
    services: ServiceFunctions, alice: FakeClient
) -> None:
    for number in range(5):
        await register(services, alice, f"s{number}")
    await register(services, alice, "built-in")
    await register(services, alice, "s0")
    with pytest.raises(QuotaExceeded) as caught:
        await register(services, alice, "s5")
    assert "Service quota exceeded: client alice already has 5 services (max 5)" in refused(caught)


@pytest.mark.spec("core-R6", "wire-32")
@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True), (True, True)])
async def test_singletons_exclude_others_in_both_directions(
    services: ServiceFunctions, hub: FakeHub, alice: FakeClient, first: bool, second: bool
) -> None:
    bob = hub.join("w/bob")
    await register(services, alice, "s", config={"singleton": first})
    await register(services, alice, "s", config={"singleton": first})
    with pytest.raises(Conflict) as caught:
        await register(services, bob, "s", config={"singleton": second})
    text = refused(caught)
    assert "A singleton service with the same name (s)" in text
    assert "exists in the workspace (w)" in text
    await register(services, hub.join("x/carol"), "s", config={"singleton": second})


async def test_a_held_singleton_gives_way(
    services: ServiceFunctions, hub: FakeHub, alice: FakeClient
) -> None:
    bob = hub.join("w/bob")
    await register(services, alice, "s", config={"singleton": True})
    alice.is_live = False
    await register(services, bob, "s", config={"singleton": True})
    assert await listed(services, bob) == ["w/bob:s"]
    assert hub.kinds() == ["service_added", "service_removed", "service_added"]
    alice.is_live, alice.generation = True, 2
    with pytest.raises(Conflict):
        await register(services, alice, "s", config={"singleton": True})


@pytest.mark.spec("wire-52", "core-R11", "core-11.1.8")
@pytest.mark.parametrize("service_id", ["w/bob:s", "x/alice:s", "bob:s"])
async def test_foreign_ids_are_refused(
    services: ServiceFunctions, alice: FakeClient, service_id: str
) -> None:
    with pytest.raises(PermissionDenied):
        await register(services, alice, "s", id=service_id)


@pytest.mark.spec("wire-36")
async def test_setup_of_a_default_service_runs_once(
    services: ServiceFunctions, hub: FakeHub, alice: FakeClient
) -> None:
    hub.answers["w/alice"] = lambda method, args: None
    schema = {"setup": {}, "echo": {}}
    await register(services, alice, "default", service_schema=schema)
    alice.generation = 2
    await register(services, alice, "default", service_schema=schema)
    await settle()
    assert [method for _, method in hub.calls].count("services.default.setup") == 1
    await register(services, hub.join("w/bob"), "default")
    await settle()
    assert ("w/bob", "services.default.setup") not in hub.calls


def app_answer(method: str, args: Sequence[Any]) -> Any:
    return {"id": args[0], "app_id": "app-1"} if args[0] != "odd" else {"app_id": "a/b"}


async def test_app_ids_are_read_back_after_the_answer(
    services: ServiceFunctions, hub: FakeHub, alice: FakeClient
) -> None:
    hub.answers["w/alice"] = app_answer
    await register(services, alice, "s")
    await register(services, alice, "odd")
    await register(services, alice, "given", app_id="app-2")
    assert hub.calls == [], "the registration does not wait"
    await settle()
    found = await services.list_services(context=alice.context)
    assert [entry["app_id"] for entry in found] == ["app-1", "app-2"]
    assert "must not contain '/'" in alice.told[0]["message"]
    assert (await services.list_services({"app_id": "app-1"}, context=alice.context))[0]["id"] == "w/alice:s"
    assert len(hub.calls) == 2


async def test_a_reconnect_storm_asks_for_no_app_ids(
    services: ServiceFunctions, hub: FakeHub, alice: FakeClient
) -> None:
    hub.answers["w/alice"] = app_answer
    await register(services, alice, "s")
    await settle()
    hub.calls.clear()
    hub.events.published.clear()
    alice.generation = 2
    await register(services, alice, "s")
    await settle()
    assert hub.calls == [] and hub.events.published == []
    assert (await services.list_services(context=alice.context))[0]["app_id"] == "app-1"


async def test_a_silent_client_is_asked_once_and_delays_nobody(parts: Parts, hub: FakeHub) -> None:
    parts.app_ids._deadline_s = 0.01
    services = ServiceFunctions(parts)
    silent, other = hub.join("w/silent"), hub.join("w/other")
    hub.answers["w/other"] = app_answer
    for number in range(3):
        await register(services, silent, f"s{number}")
    await register(services, other, "s")
    async with asyncio.timeout(5):
        await parts.background.settled()
    assert [target for target, _ in hub.calls].count("w/silent") == 1
    assert (await services.list_services("other:s", context=other.context))[0]["app_id"] == "app-1"


async def test_a_service_that_is_registered_again_and_again_waits_once_for_the_question(
    parts: Parts, hub: FakeHub, alice: FakeClient
) -> None:
    services = ServiceFunctions(parts)
    hub.answers["w/alice"] = app_answer
    for number in range(50):
        await register(services, alice, "s", docs=f"version {number}")
    kept = [record for queue in parts.app_ids._queues.values() for record in queue]
    assert kept == ["s"], "names only, not fifty descriptions"
    await settle()
    assert len(hub.calls) == 1
    found = await services.list_services(context=alice.context)
    assert [(entry["app_id"], entry["docs"]) for entry in found] == [("app-1", "version 49")]


@pytest.mark.spec("wire-30", "core-M11")
@pytest.mark.parametrize("service_id", ["s", "alice:s", "w/alice:s", "w/alice:s@*"])
async def test_unregister_by_every_form(
    services: ServiceFunctions, hub: FakeHub, alice: FakeClient, service_id: str
) -> None:
    await register(services, alice, "s")
    await services.unregister_service(service_id, context=alice.context)
    assert hub.kinds() == ["service_added", "service_removed"]
    with pytest.raises(ServiceNotFound) as caught:
        await services.unregister_service(service_id, context=alice.context)
    assert refused(caught) == f"KeyError: Service not found: {service_id}"


@pytest.mark.spec("core-R13", "core-11.1.8")
async def test_unregistering_for_others_needs_admin(
    services: ServiceFunctions, hub: FakeHub, alice: FakeClient
) -> None:
    await register(services, alice, "s")
    for other in (hub.join("w/bob", Level.READ_WRITE), hub.join("x/carol"), hub.join("x/dave", w=Level.READ)):
        for service_id in ("w/alice:s", "w/alice:missing"):
            with pytest.raises(PermissionDenied) as caught:
                await services.unregister_service(service_id, context=other.context)
            assert "Permission denied for workspace w" in refused(caught)
    await services.unregister_service("w/alice:s", context=hub.join("w/admin").context)
    assert await listed(services, alice) == []


async def test_get_service_takes_options_in_every_way(
    services: ServiceFunctions, hub: FakeHub, alice: FakeClient
) -> None:
    bob = hub.join("w/bob")
    for client in (alice, bob):
        hub.answers[client.address] = lambda method, args: {"id": args[0], "config": {}}
        await register(services, client, "s")
    context = alice.context
    assert (await services.get_service("s", {"mode": "last"}, context=context))["id"] == "w/bob:s"
    assert (await services.get_service("s", mode="first", context=context))["id"] == "w/alice:s"
    assert (await services.get_service_info("s", {"mode": "last"}, context=context))["id"] == "w/bob:s"
    with pytest.raises(HyphaError, match="Multiple services found"):
        await services.get_service("s", context=context)


async def test_a_provider_that_does_not_answer_times_out(
    services: ServiceFunctions, hub: FakeHub, alice: FakeClient
) -> None:
    await register(services, alice, "s")
    async with asyncio.timeout(5):
        with pytest.raises(HyphaError) as caught:
            await services.get_service("s", {"timeout": 0.02}, context=alice.context)
    assert refused(caught).startswith("TimeoutError: ")


async def test_search_pages(services: ServiceFunctions, alice: FakeClient) -> None:
    await register(services, alice, "a")
    await register(services, alice, "b")
    page = await services.search_services(limit=1, pagination=True, context=alice.context)
    assert isinstance(page, dict)
    assert {key: page[key] for key in ("total", "offset", "limit")} == {"total": 2, "offset": 0, "limit": 1}
    assert page["items"][0]["score"] == 1.0


async def test_options_from_javascript_fill_a_position(services: ServiceFunctions, alice: FakeClient) -> None:
    await register(services, alice, "s", config={"visibility": "unlisted"})
    options: Any = {"include_unlisted": True}
    assert len(await services.list_services(None, options, context=alice.context)) == 1


async def test_the_infos_of_a_client_are_bounded_in_bytes(
    services: ServiceFunctions, hub: FakeHub, alice: FakeClient
) -> None:
    for number in range(2):
        await register(services, alice, f"s{number}", docs="x" * 9000)
    with pytest.raises(QuotaExceeded, match=r"client alice would take more than 20000 bytes"):
        await register(services, alice, "s2", docs="x" * 9000)
    await register(services, hub.join("w/bob"), "s", docs="x" * 9000)
    await register(services, alice, "s1")
    await register(services, alice, "s2", docs="x" * 9000)
    with pytest.raises(QuotaExceeded):
        await register(services, alice, "s1", docs="x" * 9000)


async def test_a_listing_is_read_in_pages(services: ServiceFunctions, alice: FakeClient) -> None:
    for number in range(5):
        await register(services, alice, f"s{number}")

    async def page(**options: Any) -> Any:
        return await services.list_services(**options, context=alice.context)

    assert [info["id"] for info in await page(offset=3)] == ["w/alice:s3", "w/alice:s4"]
    found = await page(offset=1, limit=2, pagination=True)
    assert [info["id"] for info in found.pop("items")] == ["w/alice:s1", "w/alice:s2"]
    assert found == {"total": 5, "offset": 1, "limit": 2}
    for limit in (0, 10_001, 1.5, "x"):
        with pytest.raises(InvalidRequest, match="limit must be"):
            await page(limit=limit)
    with pytest.raises(InvalidRequest):
        await page(offset=-1)
