"""Attacks on what is registered, kept in workspaces and written down."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hypha.auth.audit import MAX_TEXT_CHARS, STRANGERS_QUOTA, AuditLog
from hypha.errors import FrameTooLarge, HyphaError, InvalidRequest, QuotaExceeded, RateLimited
from hypha.registry import records as service_records
from hypha.registry.records import Registrant, parse_registration
from hypha.store.audit import AuditQuery, Ring
from hypha.store.records import Bookmark, WorkspaceRecord
from hypha.store.usage import Kind
from hypha.testing import RawCallError, RawClient
from hypha.workspaces.catalogue import MAX_LISTED, MAX_MATCHED, MAX_MATCHED_CHARS
from hypha.workspaces.environment import MAX_KEY_CHARS, MAX_VARIABLE_BYTES
from hypha.workspaces.event_log import MAX_FOUND, MAX_TYPE_CHARS, EventLog, EventRates
from hypha.workspaces.records import MAX_OWNERS
from hypha.workspaces.values import MAX_VALUE_BYTES
from tests.faults.bounds.kit import Kit
from tests.unit.workspaces.tenancy_kit import acting, person

ALICE = person("alice")


async def fill(client: RawClient, function: str, *arguments: list[Any]) -> str:
    """Call a function of the manager with one argument list after the other; the first refusal."""
    for given in arguments:
        try:
            await client.call_manager(function, *given)
        except RawCallError as refused:
            return str(refused)
    return ""


async def register(client: RawClient, count: int, docs: str = "") -> str:
    """Register so many services; the first refusal."""
    infos = [
        {"id": f"{client.address}:s{number}", "name": f"s{number}", "docs": docs} for number in range(count)
    ]
    return await fill(client, "register_service", *[[info] for info in infos])


async def services_of_a_client(kit: Kit) -> None:
    assert "QuotaExceeded" in await register(await kit.raw(kit.person()), 10)


async def services_of_a_workspace(kit: Kit) -> None:
    owner = kit.person()
    clients = [await kit.raw(owner) for _ in range(3)]
    told = [await register(client, 3) for client in clients]
    assert told[:2] == ["", ""] and "QuotaExceeded" in told[2]


async def descriptions_of_services(kit: Kit) -> None:
    assert "QuotaExceeded" in await register(await kit.raw(kit.person()), 4, "x" * 15_000)
    owner = kit.person()
    told = [await register(await kit.raw(owner), 2, "x" * 12_000) for _ in range(3)]
    assert told[:2] == ["", ""] and "QuotaExceeded" in told[2]
    told = [await register(await kit.raw(), 2, "x" * 12_000) for _ in range(5)]
    assert "QuotaExceeded" in told[-1], "a quarter of all for anonymous users"


async def one_description(kit: Kit) -> None:
    who = Registrant("w", "c", "u")
    for field, most in (
        ("docs", service_records.MAX_INFO_BYTES),
        ("name", service_records.MAX_TITLE_CHARS),
        ("type", service_records.MAX_TYPE_CHARS),
        ("app_id", service_records.MAX_APP_ID_CHARS),
        ("description", service_records.MAX_DESCRIPTION_CHARS),
    ):
        with pytest.raises(HyphaError):
            parse_registration({"id": "w/c:s", field: "x" * (most + 1)}, who)
    many = ["ws-a"] * (service_records.MAX_AUTHORIZED_WORKSPACES + 1)
    with pytest.raises(HyphaError):
        parse_registration(
            {"id": "w/c:s", "config": {"visibility": "protected", "authorized_workspaces": many}}, who
        )


async def workspaces_of_a_user(kit: Kit) -> None:
    client = await kit.raw(kit.person())
    mark = random.randrange(10**9)
    told = await fill(client, "create_workspace", *[[{"id": f"lab-{mark}-{n}"}] for n in range(5)])
    assert "QuotaExceeded" in told


async def one_workspace(kit: Kit) -> None:
    tenants = await kit.tenants(max_workspaces_per_user=10_000)
    owners = [f"p{number}" for number in range(MAX_OWNERS + 1)]
    with pytest.raises(InvalidRequest):
        await tenants.catalogue.create({"id": "lab-1", "owners": owners}, acting(ALICE))
    with pytest.raises(InvalidRequest):
        await tenants.catalogue.visible_to(acting(ALICE), limit=MAX_LISTED + 1)
    for match in ({"owners": ["p"] * (MAX_MATCHED + 1)}, {"id": "x" * (MAX_MATCHED_CHARS + 1)}):
        with pytest.raises(InvalidRequest, match="'match' takes plain values"):
            await tenants.catalogue.visible_to(acting(ALICE), match)


async def event_log(kit: Kit) -> None:
    client = await kit.raw(kit.person())
    assert "QuotaExceeded" in await fill(client, "log_event", *[["seen", {"n": n}] for n in range(15)])
    tenants = await kit.tenants(max_event_bytes_per_workspace=1000)
    with pytest.raises(QuotaExceeded):
        for _ in range(10):
            await tenants.event_log.log(acting(ALICE), "seen", "x" * 300)
    assert await tenants.store.events.forget(1e12), "old ones go"


async def pace_of_event_logs(kit: Kit) -> None:
    tenants = await kit.tenants()
    for rates, data in ((EventRates.of(1.0, 0.0), None), (EventRates.of(0.0, 1000.0), "x" * 50_000)):
        log = EventLog(tenants.workspaces, tenants.store, rates)
        with pytest.raises(RateLimited):
            for _ in range(20):
                await log.log(acting(ALICE), "seen", data)


async def one_event(kit: Kit) -> None:
    tenants = await kit.tenants()
    with pytest.raises(FrameTooLarge):
        await tenants.event_log.log(acting(ALICE), "seen", "x" * MAX_VALUE_BYTES)
    with pytest.raises(InvalidRequest):
        await tenants.event_log.log(acting(ALICE), "x" * (MAX_TYPE_CHARS + 1))
    limits: list[int] = []
    find = tenants.store.events.find

    async def seen(*args: Any, **more: Any) -> Any:
        limits.append(args[-1])
        return await find(*args, **more)

    kit.patch.setattr(tenants.store.events, "find", seen)
    for _ in range(5):
        await tenants.event_log.log(acting(ALICE), "seen", "x" * 1000)
    await tenants.event_log.find(acting(ALICE))
    assert limits == [MAX_FOUND]
    few = await find("ws-user-alice", "alice", None, None, None, 100, 2500)
    assert len(few) == 2, "as many as fit into the bytes of an answer"
    kit.lower("hypha.store.events.MAX_TYPES_COUNTED", 3)
    for number in range(6):
        await tenants.event_log.log(acting(ALICE), f"type-{number}")
    counted = await tenants.event_log.count(acting(ALICE))
    assert [each["event_type"] for each in counted] == ["seen", "type-0", "type-1"]


async def variables(kit: Kit) -> None:
    client = await kit.raw(kit.person())
    assert "QuotaExceeded" in await fill(client, "set_env", *[[f"K{n}", "x"] for n in range(5)])
    tenants = await kit.tenants(max_variable_bytes_per_workspace=1000)
    with pytest.raises(QuotaExceeded):
        for number in range(5):
            await tenants.environment.set(acting(ALICE), f"K{number}", "x" * 400)


async def one_variable(kit: Kit) -> None:
    tenants = await kit.tenants()
    for key, value in (("K" * (MAX_KEY_CHARS + 1), "x"), ("K", "x" * (MAX_VARIABLE_BYTES + 1))):
        with pytest.raises(HyphaError):
            await tenants.environment.set(acting(ALICE), key, value)


async def service_types(kit: Kit) -> None:
    client = await kit.raw(kit.person())
    types = [[{"id": f"t{n}", "name": f"t{n}", "definition": {}}] for n in range(5)]
    assert "QuotaExceeded" in await fill(client, "register_service_type", *types)
    tenants = await kit.tenants(max_service_type_bytes_per_workspace=1000)
    with pytest.raises(QuotaExceeded):
        for number in range(5):
            described = {"id": f"t{number}", "name": "t", "definition": {}, "description": "x" * 400}
            await tenants.service_types.register(acting(ALICE), described)


async def bookmarks(kit: Kit) -> None:
    store = await kit.store()
    record = WorkspaceRecord("lab", created_by="alice")
    for bound in ({"max_bookmarks_per_workspace": 3}, {"max_bookmark_bytes_per_workspace": 1000}):
        tenants = await kit.tenants(**bound)
        with pytest.raises(QuotaExceeded):
            for number in range(9):
                allowance = tenants.workspaces.allowance(record, Kind.BOOKMARKS)
                mark = Bookmark("workspace", f"w{number}", description="x" * 400)
                await store.bookmarks.put(record, mark, 1.0, allowance)


async def kept_in_all(kit: Kit) -> None:
    for bound in ("max_stored_bytes_per_person", "max_stored_bytes"):
        tenants = await kit.tenants(**{bound: 1000})
        with pytest.raises(QuotaExceeded):
            for _ in range(5):
                await tenants.event_log.log(acting(ALICE), "seen", "x" * 400)
    tenants = await kit.tenants(max_stored_bytes_of_anonymous=1000)
    stranger = (await tenants.connect()).user
    with pytest.raises(QuotaExceeded, match="anonymous"):
        for _ in range(5):
            await tenants.event_log.log(acting(stranger), "seen", "x" * 400)
    await tenants.event_log.log(acting(ALICE), "seen", "x" * 400)


async def audit_log(kit: Kit) -> None:
    store = await kit.store()
    log = AuditLog(store.audit, keep_entries=40)
    for number in range(3000):
        log.note("access_refused", workspace=f"w{number}", address="192.0.2.1", is_stranger=True)
    for number in range(50):
        log.note("token_minted", "alice", f"w{number}", detail={"name": "x" * 10_000})
    await log.flush()
    refused = await store.audit.find(AuditQuery(action="access_refused"), 0, 10_000)
    assert len(refused) <= STRANGERS_QUOTA.per_source + 1
    minted = await store.audit.find(AuditQuery(action="token_minted"), 0, 10_000)
    assert len(minted) == 50 and len(str(minted[0].detail)) < 2 * MAX_TEXT_CHARS
    await store.audit.trim(0.0, {Ring.ACTS: 40, Ring.REFUSALS: 10, Ring.STRANGERS: 4})
    assert len(await store.audit.find(AuditQuery(), 0, 10_000)) <= 54
