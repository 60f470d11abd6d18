"""The manager as a whole: its functions, their levels and what they refuse, on a real store."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from typing import Any

import msgpack
import pytest

from hypha.auth.scopes import Level
from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import Context, User, anonymous_user
from hypha.builtins.permission import permission_of
from hypha.builtins.service import BuiltinService
from hypha.errors import HyphaError, PermissionDenied, WorkspaceNotFound
from hypha.store import Seal, Store
from hypha.workspaces.parts import Parts
from hypha.workspaces.service import FUNCTIONS, WorkspaceManager
from hypha.workspaces.tenancy import Tenancy
from tests.kit.manager import FakeHub, info, refused
from tests.unit.workspaces.tenancy_kit import Settings

SECRET = "a-secret-of-the-tests-which-is-long-enough"
ALL = (
    "echo, log, log_event, get_event_stats, get_events, register_service, unregister_service, "
    "list_workspaces, list_services, search_services, list_clients, register_service_type, get_service_type, "
    "list_service_types, get_service_info, get_service, generate_token, revoke_token, parse_token, "
    "create_workspace, delete_workspace, bookmark, unbookmark, get_workspace_info, get_summary, ping, "
    "cleanup, check_status, set_env, get_env, subscribe, unsubscribe, list_tokens, rename_token"
).split(", ")


@pytest.fixture
async def manager(parts: Parts, hub: FakeHub) -> AsyncIterator[BuiltinService]:
    store = await Store(":memory:").open()
    parts.tenancy = Tenancy.build(store, Settings(), Seal(SECRET), hub.events.publish)
    parts.tokens = TokenAuthority(SECRET)
    await parts.tenancy.workspaces.start()
    yield WorkspaceManager(parts).service({"server_id": "s"})
    await parts.tenancy.workspaces.stop()
    await store.close()


@pytest.fixture
async def alice(manager: BuiltinService, parts: Parts, hub: FakeHub) -> Context:
    """A registered user in the own workspace."""
    client = hub.join("ws-user-alice/c")
    client.user = User("alice", email="alice@example.org").within("ws-user-alice", "c", Level.ADMIN)
    await parts.workspaces.open("ws-user-alice", client.user)
    return client.context


@pytest.fixture
async def guest(manager: BuiltinService, parts: Parts, hub: FakeHub) -> Context:
    """An anonymous user in the own workspace."""
    user = anonymous_user()
    client = hub.join(f"{user.own_workspace}/g")
    client.user = user.within(user.own_workspace, "g", Level.ADMIN)
    parts.workspaces.open_new(client.user)
    return client.context


def with_level(context: Context, level: Level) -> Context:
    """The same user with a token of that level for the current workspace."""
    user = User("child", parent=context.user.id).within(context.workspace, "c2", level)
    return Context(user, context.workspace, "c2")


async def refusal(manager: BuiltinService, context: Context, name: str, *args: Any) -> str:
    with pytest.raises(HyphaError) as caught:
        await manager.invoke(name, list(args), {}, context)
    return refused(caught)


@pytest.mark.spec("wire-2")
def test_the_manager_offers_what_clients_expect(manager: BuiltinService) -> None:
    assert sorted(manager.functions) == sorted(ALL) == sorted(FUNCTIONS)
    assert manager.id == "default"
    assert manager.config == {"require_context": True, "visibility": "public", "server_id": "s"}


def test_every_function_is_described_for_users(manager: BuiltinService) -> None:
    for function in manager.functions.values():
        schema = function.schema
        assert schema["name"] == function.name
        assert function.description.split("\n")[0].rstrip(".") and len(function.description) < 300
        for name, parameter in schema["parameters"]["properties"].items():
            assert parameter.get("description"), f"{function.name}({name}) is not described"
        assert "context" not in schema["parameters"]["properties"]


def test_the_description_that_every_client_fetches_is_small(manager: BuiltinService) -> None:
    packed = sum(len(msgpack.packb(dict(function.schema))) for function in manager.functions.values())
    assert packed < 12_000


def test_every_function_declares_its_permission() -> None:
    public = inspect.getmembers(WorkspaceManager, inspect.iscoroutinefunction)
    declared = {name: permission_of(function) for name, function in public if not name.startswith("_")}
    assert set(declared) == set(ALL) and None not in declared.values()


LEVELS = {
    name: row.level
    for name in ALL
    if (row := permission_of(getattr(WorkspaceManager, name))) and row.on == "current workspace"
}
ARGUMENTS: dict[str, list[Any]] = {
    "echo": [1],
    "log": ["x"],
    "log_event": ["x"],
    "set_env": ["k", "v"],
    "parse_token": ["x"],
    "register_service_type": [{}],
}


@pytest.mark.spec("core-M6")
@pytest.mark.parametrize("name", sorted(LEVELS))
async def test_a_lower_level_is_refused(manager: BuiltinService, alice: Context, name: str) -> None:
    lower = with_level(alice, Level(LEVELS[name] - 1))
    text = await refusal(manager, lower, name, *ARGUMENTS.get(name, []))
    assert "Permission denied for workspace ws-user-alice" in text


@pytest.mark.spec("core-M6")
def test_the_levels_are_those_of_the_guide() -> None:
    assert LEVELS == {
        **dict.fromkeys(
            ("echo", "log", "log_event", "set_env", "get_env", "register_service_type"), Level.READ_WRITE
        ),
        **dict.fromkeys(("get_event_stats", "get_events", "list_workspaces", "parse_token"), Level.READ),
        **dict.fromkeys(("get_summary", "check_status"), Level.READ),
    }


@pytest.mark.spec("core-M1", "wire-37")
async def test_status_names_the_permission(manager: BuiltinService, alice: Context, guest: Context) -> None:
    assert await manager.invoke("check_status", [], {}, guest) == {
        "status": "ready",
        "errors": None,
        "user_permission": "a",
    }
    reader = with_level(alice, Level.READ)
    assert (await manager.invoke("check_status", [], {}, reader))["user_permission"] == "r"


@pytest.mark.spec("core-M3", "core-M4")
async def test_creating_workspaces(manager: BuiltinService, alice: Context, guest: Context) -> None:
    assert "Only registered user can create workspace." in await refusal(
        manager, guest, "create_workspace", {"id": "a-b"}
    )
    made = await manager.invoke("create_workspace", [{"name": "a-b"}], {}, alice)
    assert (made["id"], made["owners"]) == ("a-b", ["alice"])
    refuse = ("ab", "must contain at least one hyphen"), ("A-b", "only lowercase letters")
    for given, text in (*refuse, ("a-b", "Workspace already exists: a-b"), (None, "must be provided")):
        assert text in await refusal(manager, alice, "create_workspace", {"id": given})


@pytest.mark.spec("core-11.1.6")
async def test_nobody_makes_the_workspace_of_another(manager: BuiltinService, alice: Context) -> None:
    text = await refusal(manager, alice, "create_workspace", {"id": "ws-user-bob"})
    assert "Permission denied" in text


@pytest.mark.spec("core-M14")
async def test_deleting_workspaces(manager: BuiltinService, alice: Context, guest: Context) -> None:
    await manager.invoke("create_workspace", [{"id": "a-b"}], {}, alice)
    assert "Permission denied for workspace a-b" in await refusal(manager, guest, "delete_workspace", "a-b")
    listed = [found["id"] for found in await manager.invoke("list_workspaces", [], {}, alice)]
    assert "a-b" in listed
    await manager.invoke("delete_workspace", ["a-b"], {}, alice)
    listed = [found["id"] for found in await manager.invoke("list_workspaces", [], {}, alice)]
    assert "a-b" not in listed
    assert "Workspace not found: a-b" in await refusal(manager, alice, "delete_workspace", "a-b")


@pytest.mark.spec("core-11.1.5")
async def test_info_needs_the_right_on_the_target(
    manager: BuiltinService, alice: Context, guest: Context
) -> None:
    await manager.invoke("set_env", ["KEY", "secret"], {}, alice)
    own = await manager.invoke("get_workspace_info", [], {}, alice)
    assert own["id"] == "ws-user-alice" and "secret" not in str(own)
    with pytest.raises(PermissionDenied):
        await manager.invoke("get_workspace_info", ["ws-user-alice"], {}, guest)
    with pytest.raises(WorkspaceNotFound) as caught:
        await manager.invoke("get_workspace_info", ["nowhere"], {}, guest)
    assert "Workspace (nowhere) not found" in refused(caught)


async def test_an_owner_reads_another_own_workspace(manager: BuiltinService, alice: Context) -> None:
    await manager.invoke("create_workspace", [{"id": "a-b"}], {}, alice)
    assert (await manager.invoke("get_workspace_info", ["a-b"], {}, alice))["id"] == "a-b"
    assert await manager.invoke("list_clients", ["a-b"], {}, alice) == []


@pytest.mark.spec("core-M5")
async def test_environment_variables(manager: BuiltinService, alice: Context) -> None:
    await manager.invoke("set_env", ["A", "1"], {}, alice)
    await manager.invoke("set_env", [], {"key": "B", "value": "2"}, alice)
    assert await manager.invoke("get_env", [], {}, alice) == {"A": "1", "B": "2"}
    await manager.invoke("set_env", ["A", None], {}, alice)
    text = await refusal(manager, alice, "get_env", "A")
    assert text == "KeyError: Environment variable 'A' not found in workspace ws-user-alice"


@pytest.mark.spec("core-M8")
async def test_the_event_log(manager: BuiltinService, alice: Context) -> None:
    await manager.invoke("log_event", ["x", {"n": 1}], {}, alice)
    await manager.invoke("log", ["hello"], {}, alice)
    events = await manager.invoke("get_events", [], {"event_type": "x"}, alice)
    assert [event["data"] for event in events] == [{"n": 1}]
    assert "T" in events[0]["timestamp"] and not events[0]["timestamp"].endswith("Z")
    stats = await manager.invoke("get_event_stats", [], {}, alice)
    assert stats == [{"event_type": "log", "count": 1}, {"event_type": "x", "count": 1}]
    assert "Event type must not contain spaces" in await refusal(manager, alice, "log_event", "a b")


@pytest.mark.spec("core-M12")
async def test_service_types(manager: BuiltinService, alice: Context, guest: Context) -> None:
    given = {"id": "t", "name": "T", "definition": {"f": {}}}
    await manager.invoke("register_service_type", [given], {}, alice)
    found = await manager.invoke("get_service_type", ["t"], {}, alice)
    assert found["id"] == "ws-user-alice/t"
    assert "Service type already exists: t" in await refusal(manager, alice, "register_service_type", given)
    assert "Permission denied" in await refusal(manager, guest, "get_service_type", "ws-user-alice/t")
    assert "Service type not found: public/t" in await refusal(manager, guest, "get_service_type", "public/t")
    assert len(await manager.invoke("list_service_types", [], {}, alice)) == 1


@pytest.mark.spec("core-11.1.18")
async def test_bookmarks_reveal_nothing(
    manager: BuiltinService, parts: Parts, hub: FakeHub, alice: Context, guest: Context
) -> None:
    client = hub.client(alice.workspace, alice.client_id)
    assert client is not None
    await manager.invoke("register_service", [info(client, "inner")], {}, alice)
    for item in (
        {"bookmark_type": "workspace", "id": "ws-user-alice"},
        {"bookmark_type": "service", "id": "ws-user-alice/c:inner"},
    ):
        assert "Permission denied" in await refusal(manager, guest, "bookmark", item)
        await manager.invoke("bookmark", [item], {}, alice)
    marked = (await manager.invoke("get_workspace_info", [], {}, alice))["config"]["bookmarks"]
    assert [found["id"] for found in marked] == ["ws-user-alice", "ws-user-alice/c:inner"]
    await manager.invoke("unbookmark", [{"bookmark_type": "service", "id": "c:inner"}], {}, alice)
    marked = (await manager.invoke("get_workspace_info", [], {}, alice))["config"]["bookmarks"]
    assert [found["bookmark_type"] for found in marked] == ["workspace"]


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({}, "Bookmark type must be provided."),
        ("x", "Bookmark type must be provided."),
        ({"bookmark_type": "x", "id": "y"}, "Invalid bookmark type: x"),
        ({"bookmark_type": "service"}, "The 'id' of a bookmark"),
        ({"bookmark_type": "service", "id": "missing"}, "not found"),
        ({"bookmark_type": "workspace", "id": "missing"}, "not found"),
    ],
)
@pytest.mark.parametrize("name", ["bookmark", "unbookmark"])
async def test_wrong_bookmarks_are_refused(
    manager: BuiltinService, alice: Context, name: str, item: Any, text: str
) -> None:
    assert text in await refusal(manager, alice, name, item)


async def test_cleanup_of_an_empty_temporary_workspace(
    manager: BuiltinService, parts: Parts, alice: Context
) -> None:
    await manager.invoke("create_workspace", [{"id": "a-b"}], {}, alice)
    assert await manager.invoke("cleanup", ["a-b"], {}, alice) == {
        "removed_workspace": "a-b",
        "removed_clients": [],
    }
    assert await parts.workspaces.load("a-b") is None


@pytest.mark.spec("core-R8")
async def test_a_forged_context_changes_nothing(
    manager: BuiltinService, alice: Context, guest: Context
) -> None:
    forged = {"context": {"ws": "ws-user-alice", "user": {"id": "root", "roles": ["admin"]}}}
    assert await manager.invoke("list_services", [], dict(forged), guest) == []
    assert (await manager.invoke("get_workspace_info", [], dict(forged), guest))["id"] == guest.workspace
