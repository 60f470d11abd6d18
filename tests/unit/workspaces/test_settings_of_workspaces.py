"""What users set in workspaces: environment, event log, service types, bookmarks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import User
from hypha.errors import FrameTooLarge, InvalidRequest, NotFound, PermissionDenied, ServiceTypeExists
from hypha.store import Bookmark
from tests.unit.workspaces.tenancy_kit import Tenants, acting, person

ALICE = person("alice")
BOB = person("bob")


@pytest.mark.spec("core-M5")
async def test_variables_are_set_read_and_removed(tenants: Tenants) -> None:
    context, environment = acting(ALICE), tenants.environment
    await environment.set(context, "KEY", "välue")
    await environment.set(context, "NUMBER", 5)
    assert await environment.get(context, "KEY") == "välue"
    assert await environment.get(context) == {"KEY": "välue", "NUMBER": 5}
    await environment.set(context, "KEY", None)
    with pytest.raises(NotFound) as caught:
        await environment.get(context, "KEY")
    assert caught.value.rpc_text == (
        "KeyError: Environment variable 'KEY' not found in workspace ws-user-alice"
    )
    events = await tenants.event_log.find(context)
    assert [(event["event_type"], event["data"]) for event in events] == [
        ("env_set", {"key": "KEY"}),
        ("env_set", {"key": "NUMBER"}),
        ("env_removed", {"key": "KEY"}),
    ]


@pytest.mark.spec("core-M5", "core-11.2.2")
async def test_twenty_writers_at_once_lose_nothing(tenants: Tenants) -> None:
    context = acting(ALICE)
    await asyncio.gather(*(tenants.environment.set(context, f"k{n}", n) for n in range(20)))
    assert await tenants.environment.get(context) == {f"k{n}": n for n in range(20)}


async def test_values_are_encrypted_at_rest(tenants: Tenants) -> None:
    await tenants.environment.set(acting(ALICE), "KEY", "very-secret")
    stored = await tenants.store.environment.all("ws-user-alice")
    assert b"very-secret" not in stored["KEY"]
    await tenants.environment.set(acting(BOB), "KEY", "other")
    async with tenants.store.writing() as connection:
        await connection.exec_driver_sql("UPDATE workspace_environment SET value = ?", (stored["KEY"],))
    with pytest.raises(Exception, match="cannot be decrypted"):
        await tenants.environment.get(acting(BOB), "KEY")


async def test_variables_of_others_are_out_of_reach(tenants: Tenants) -> None:
    await tenants.environment.set(acting(ALICE), "KEY", "secret")
    assert await tenants.environment.get(acting(BOB)) == {}


@pytest.mark.parametrize("key", ["", 5, None, "x" * 257, "a\x00b", "a\nb"])
async def test_odd_names_of_variables_are_refused(tenants: Tenants, key: object) -> None:
    with pytest.raises(InvalidRequest, match="name of a variable"):
        await tenants.environment.set(acting(ALICE), key, "v")


async def test_odd_values_of_variables_are_refused(tenants: Tenants) -> None:
    with pytest.raises(InvalidRequest, match="plain data"):
        await tenants.environment.set(acting(ALICE), "K", b"raw")
    with pytest.raises(FrameTooLarge):
        await tenants.environment.set(acting(ALICE), "K", "x" * 70_000)


async def test_info_never_holds_the_environment(tenants: Tenants) -> None:
    await tenants.environment.set(acting(ALICE), "KEY", "secret")
    info = await tenants.workspaces.describe(await tenants.workspaces.require("ws-user-alice"))
    assert "secret" not in repr(info) and "environs" not in info["config"]


@pytest.mark.spec("core-M8")
async def test_events_have_naive_iso_timestamps(tenants: Tenants) -> None:
    context = acting(ALICE)
    await tenants.event_log.log(context, "x", {"n": 1})
    await tenants.event_log.log(context, "y")
    (event,) = await tenants.event_log.find(context, "x")
    moment = datetime.fromisoformat(event.pop("timestamp"))
    assert moment.tzinfo is None
    assert abs(moment - datetime.now(UTC).replace(tzinfo=None)) < timedelta(seconds=5)
    assert isinstance(event.pop("id"), int)
    assert event == {
        "event_type": "x",
        "workspace": "ws-user-alice",
        "user_id": "alice",
        "data": {"n": 1},
    }
    assert await tenants.event_log.count(context) == [
        {"event_type": "x", "count": 1},
        {"event_type": "y", "count": 1},
    ]


async def test_everybody_sees_the_own_events_only(tenants: Tenants) -> None:
    await tenants.event_log.log(acting(ALICE), "x")
    assert await tenants.event_log.find(acting(BOB, "ws-user-alice")) == []
    assert await tenants.event_log.find(acting(ALICE, "ws-user-bob")) == []


async def test_events_are_found_by_time_in_any_form(tenants: Tenants) -> None:
    context = acting(ALICE)
    await tenants.event_log.log(context, "x")
    now = datetime.now(UTC)
    past, future = now - timedelta(hours=1), now + timedelta(hours=1)
    for start in (past, past.isoformat(), past.replace(tzinfo=None).isoformat(), past.timestamp()):
        assert len(await tenants.event_log.find(context, None, start, future)) == 1
        assert await tenants.event_log.find(context, None, None, start) == []
    for odd in ("yesterday", [], float("nan"), True):
        with pytest.raises(InvalidRequest, match="'start_time' must be a time"):
            await tenants.event_log.find(context, None, odd)


@pytest.mark.spec("core-M8")
@pytest.mark.parametrize("event_type", ["a b", "a\tb", "", None, 7, "x" * 300])
async def test_odd_event_types_are_refused(tenants: Tenants, event_type: object) -> None:
    with pytest.raises(InvalidRequest, match="Event type must"):
        await tenants.event_log.log(acting(ALICE), event_type)


async def test_odd_event_data_is_refused(tenants: Tenants) -> None:
    for odd in (b"x", {1: "x"}, object(), 2**70):
        with pytest.raises(InvalidRequest, match="plain data"):
            await tenants.event_log.log(acting(ALICE), "x", odd)


@pytest.mark.spec("core-M12")
async def test_a_service_type_is_registered_once(tenants: Tenants) -> None:
    context, types = acting(ALICE), tenants.service_types
    given = {"id": "echo", "name": "Echo", "definition": {"f": 1}, "description": "d"}
    made = await types.register(context, given)
    assert made["id"] == "ws-user-alice/echo"
    with pytest.raises(ServiceTypeExists, match="Service type already exists: echo") as caught:
        await types.register(context, given)
    assert caught.value.rpc_text.startswith("KeyError: ")
    assert await types.get(context, "echo") == made == await types.get(context, "ws-user-alice/echo")
    assert await types.list(context) == [made]
    assert (await types.register(context, {**given, "name": "E"}, overwrite=True))["name"] == "E"
    with pytest.raises(NotFound, match="Service type not found: none"):
        await types.get(context, "none")


async def test_types_of_others_are_not_shown(tenants: Tenants) -> None:
    types = tenants.service_types
    await types.register(acting(ALICE), {"id": "echo"})
    for ask in (
        lambda: types.get(acting(BOB), "ws-user-alice/echo"),
        lambda: types.list(acting(BOB), "ws-user-alice"),
    ):
        with pytest.raises(PermissionDenied, match="Permission denied for workspace ws-user-alice"):
            await ask()
    root = acting(person("root", roles=("admin",)), "public")
    await types.register(root, {"id": "functions"})
    assert (await types.get(acting(BOB), "public/functions"))["id"] == "public/functions"
    assert len(await types.list(acting(BOB), "public")) == 1
    reader = person("dan", scope=Scope({"ws-user-alice": Level.READ}))
    assert len(await types.list(acting(reader), "ws-user-alice")) == 1


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"id": "other/echo"}, "Workspace mismatch: other"),
        ({"id": "echo", "workspace": "other"}, "Workspace mismatch: other"),
        ({}, "id must be provided"),
        ("echo", "must be an object"),
        ({"id": "a:b"}, "Invalid service id"),
        ({"id": "a", "name": 5}, "must be text"),
        ({"id": "a", "config": "x"}, "must be an object"),
        ({"id": "a", "definition": b"x"}, "plain data"),
    ],
)
async def test_odd_types_are_refused(tenants: Tenants, given: Any, text: str) -> None:
    with pytest.raises(InvalidRequest, match=text):
        await tenants.service_types.register(acting(ALICE), given)


async def test_bookmarks_are_kept_in_the_own_workspace(tenants: Tenants) -> None:
    mark = Bookmark("service", "w/c:s", "S", "d", {"x": 1})
    await tenants.bookmarks.add(ALICE, mark)
    await tenants.bookmarks.add(ALICE, mark)
    assert await tenants.bookmarks.list(ALICE) == [mark]
    assert await tenants.bookmarks.list(BOB) == []
    assert await tenants.bookmarks.remove(ALICE, "service", "w/c:s")
    assert not await tenants.bookmarks.remove(ALICE, "service", "w/c:s")
    with pytest.raises(PermissionDenied, match="generated token has no bookmarks"):
        await tenants.bookmarks.add(User("kid", parent="alice"), mark)


async def test_what_was_set_survives_a_restart(tenants: Tenants) -> None:
    context = acting(ALICE)
    await tenants.environment.set(context, "K", "v")
    await tenants.service_types.register(context, {"id": "echo"})
    await tenants.bookmarks.add(ALICE, Bookmark("workspace", "w"))
    await tenants.workspaces.stop()
    after = tenants.restarted()
    await after.workspaces.start()
    assert await after.environment.get(context, "K") == "v"
    info = await after.workspaces.describe(await after.workspaces.require("ws-user-alice"))
    assert list(info["service_types"]) == ["echo"]
    assert info["config"]["bookmarks"][0]["id"] == "w"


async def test_what_was_stored_before_it_was_checked_is_shown_so_that_others_can_decode_it(
    tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = acting(ALICE)
    with monkeypatch.context() as before:
        before.setattr("hypha.workspaces.values.check_shown", lambda *_: None)
        before.setattr("hypha.workspaces.values.untagged", lambda value: value)
        before.setattr("hypha.workspaces.environment.check_key", lambda *_: None)
        await tenants.environment.set(context, "_rtype", {"_rtype": "ndarray"})
        await tenants.event_log.log(context, "odd", [{"_rtype": "error"}])
        await tenants.service_types.register(context, {"id": "odd", "definition": {"__proto__": 1}})
    assert await tenants.environment.get(context) == {"(_rtype)": {"(_rtype)": "ndarray"}}
    assert (await tenants.event_log.find(context, "odd"))[0]["data"] == [{"(_rtype)": "error"}]
    assert (await tenants.service_types.get(context, "odd"))["definition"] == {"(__proto__)": 1}
