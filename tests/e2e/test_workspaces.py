"""Workspaces, environment, events and members (docs/spec/manager.md#workspaces)."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import datetime
from typing import Any

import pytest

from hypha.testing import RawCallError, RawRefused, ServerProcess, eventually
from tests.kit.clients import Connect, ConnectRaw, NewWorker, StartServer
from tests.kit.people import Person, make_person


def new_name() -> str:
    """A workspace name nobody else uses."""
    return f"lab-{uuid.uuid4().hex[:10]}"


@pytest.mark.spec("core-M3")
async def test_anonymous_users_cannot_create_workspaces(connect: Connect) -> None:
    client = await connect()
    with pytest.raises(Exception, match=r"Only registered user can create workspace\."):
        await client.create_workspace({"id": new_name()})


@pytest.mark.spec("core-M4")
async def test_created_workspace_belongs_to_its_maker(connect: Connect, alice: Person) -> None:
    client, name = await connect(alice), new_name()
    info = await client.create_workspace({"id": name, "description": "a lab", "persistent": True})
    assert info["id"] == info["name"] == name
    assert alice.id in info["owners"]
    with pytest.raises(Exception, match=f"Workspace already exists: {name}"):
        await client.create_workspace({"id": name})
    inside = await connect(alice, workspace=name)
    assert (await inside.check_status())["user_permission"] == "a"
    listed = {entry["id"]: entry for entry in await client.list_workspaces()}
    assert {"id", "name", "description", "read_only", "persistent", "owners"} <= set(listed[name])
    info = await inside.get_workspace_info()
    assert (info["id"], info["description"], info["persistent"]) == (name, "a lab", True)


@pytest.mark.spec("core-M4")
@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"id": "ab"}, r"must contain at least one hyphen \(e\.g\. my-workspace\)"),
        (
            {"id": "A-b"},
            "Invalid workspace name: A-b, only lowercase letters, numbers and hyphens are allowed",
        ),
        ({"id": "a-b/c"}, "Invalid workspace name"),
        ({"id": "a-*"}, "Invalid workspace name"),
        ({"description": "no id"}, "Workspace id must be provided"),
    ],
)
async def test_bad_workspace_names_say_what_is_wrong(
    connect: Connect, alice: Person, config: dict[str, Any], text: str
) -> None:
    client = await connect(alice)
    with pytest.raises(Exception, match=text):
        await client.create_workspace(config)


@pytest.mark.spec("core-M4")
async def test_overwriting_a_foreign_workspace_is_refused(
    connect: Connect, alice: Person, bob: Person
) -> None:
    owner, stranger, name = await connect(alice), await connect(bob), new_name()
    await owner.create_workspace({"id": name})
    with pytest.raises(Exception, match=r"(?i)permission denied"):
        await stranger.create_workspace({"id": name}, overwrite=True)
    await owner.create_workspace({"id": name, "description": "second"}, overwrite=True)
    assert (await owner.get_workspace_info(name))["description"] == "second"


@pytest.mark.parametrize("persistent", [False, True])
async def test_overwriting_a_workspace_ends_the_services_and_clients_of_before(
    connect_raw: ConnectRaw, alice: Person, persistent: bool
) -> None:
    owner, name = await connect_raw(alice), new_name()
    config = {"id": name, "persistent": persistent}
    await owner.call_manager("create_workspace", config)
    inside = [await connect_raw(alice, workspace=name, client_id=f"c{number}") for number in range(3)]
    for client in inside:
        service = f"{name}/{client.info['client_id']}:svc"
        info = {"id": service, "name": "svc", "config": {"workspace": name, "visibility": "public"}}
        await client.call_manager("register_service", info)
    assert len(await owner.call_manager("list_services", name)) == 3
    assert len(await owner.call_manager("list_clients", name)) == 3
    await owner.call_manager("create_workspace", config, True)
    assert await owner.call_manager("list_services", name) == []
    assert await owner.call_manager("list_clients", name) == []
    for client in inside:
        assert (await client.wait_closed(5))[0] == 1001
    anew = await connect_raw(alice, workspace=name)
    await anew.call_manager("create_workspace", {**config, "description": "by one of it"}, True)
    assert await anew.is_alive(), "who asks for it stays"
    assert (await anew.call_manager("get_workspace_info"))["description"] == "by one of it"
    await owner.call_manager("create_workspace", config, True)
    assert (await owner.call_manager("get_workspace_info", name))["id"] == name


@pytest.mark.spec("core-M14")
async def test_only_owner_or_admin_deletes_a_workspace(connect: Connect, alice: Person, bob: Person) -> None:
    owner, stranger, name = await connect(alice), await connect(bob), new_name()
    await owner.create_workspace({"id": name, "persistent": True})
    with pytest.raises(Exception, match=r"(?i)permission denied"):
        await stranger.delete_workspace(name)
    await owner.delete_workspace(name)
    assert name not in [entry["id"] for entry in await owner.list_workspaces()]
    with pytest.raises(ConnectionAbortedError, match=r"does not exist or is not accessible"):
        await connect(alice, workspace=name)


async def test_the_tokens_of_a_deleted_workspace_end_with_it(
    connect: Connect, alice: Person, bob: Person
) -> None:
    owner, stranger, name = await connect(alice), await connect(bob), new_name()
    await owner.create_workspace({"id": name, "persistent": True})
    token = await owner.generate_token({"workspace": name, "permission": "read_write"})
    kept = await owner.generate_token({"permission": "read"})
    await (await connect(token=token, workspace=name)).set_env("COLOUR", "green")
    await owner.delete_workspace(name)
    await stranger.create_workspace({"id": name, "persistent": True})
    with pytest.raises(Exception, match="revoked"):
        await connect(token=token, workspace=name)
    heir = await connect(bob, workspace=name)
    assert await heir.get_env() == {}
    assert await heir.list_tokens(name) == []
    assert (await connect(token=kept)).config.workspace == alice.workspace


async def test_tokens_generated_while_their_workspace_is_deleted_end_with_it(
    connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    name = new_name()
    owner, stranger = await connect_raw(alice), await connect_raw(bob)
    await owner.call_manager("create_workspace", {"id": name, "persistent": True})
    request = {"workspace": name, "permission": "admin"}

    def generate(count: int) -> list[asyncio.Task[str]]:
        return [
            asyncio.create_task(owner.call_manager("generate_token", request, timeout_s=20))
            for _ in range(count)
        ]

    asked = generate(20)
    await asyncio.sleep(0)
    deleting = asyncio.create_task(owner.call_manager("delete_workspace", name, timeout_s=20))
    await asyncio.sleep(0)
    asked += generate(40)
    await deleting
    answers = await asyncio.gather(*asked, return_exceptions=True)
    await stranger.call_manager("create_workspace", {"id": name, "persistent": True})
    assert not any(isinstance(answer, TimeoutError) for answer in answers)
    for number, token in enumerate(answer for answer in answers if isinstance(answer, str)):
        with pytest.raises(RawRefused, match="revoked"):
            await connect_raw(token=token, workspace=name, client_id=f"c{number}")
    assert await (await connect_raw(bob, workspace=name)).call_manager("list_tokens", name) == []


async def test_a_client_comes_back_only_to_the_workspace_that_it_left(
    connect: Connect, connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    owner, stranger, name = await connect(alice), await connect(bob), new_name()
    await owner.create_workspace({"id": name, "persistent": True})
    left = await connect_raw(alice, client_id="left", workspace=name)
    token = left.info["reconnection_token"]
    await left.close()
    back = await connect_raw(client_id="left", workspace=name, reconnection_token=token)
    await owner.create_workspace({"id": name, "description": "changed"}, overwrite=True)
    await back.close()
    await (await connect_raw(client_id="left", workspace=name, reconnection_token=token)).close()
    await owner.delete_workspace(name)
    await stranger.create_workspace({"id": name, "persistent": True})
    with pytest.raises(Exception, match="Permission denied for workspace"):
        await connect_raw(client_id="left", workspace=name, reconnection_token=token)


@pytest.mark.spec("core-M14")
async def test_listed_workspaces_are_only_those_one_may_read(
    connect: Connect, alice: Person, bob: Person
) -> None:
    owner, stranger, name = await connect(alice), await connect(bob), new_name()
    await owner.create_workspace({"id": name})
    assert name not in [entry["id"] for entry in await stranger.list_workspaces()]
    with pytest.raises(Exception, match=r"Offset number must be greater than or equal to 0"):
        await owner.list_workspaces(offset=-1)
    with pytest.raises(Exception, match=r"Limit must be greater than 0 and less than 256"):
        await owner.list_workspaces(limit=257)
    assert isinstance(await owner.list_workspaces(limit=256), list)


@pytest.mark.spec("core-M5")
async def test_environment_variables_are_set_read_and_removed(connect: Connect, alice: Person) -> None:
    client = await connect(alice)
    await client.set_env("COLOUR", "green")
    await client.set_env("SIZE", "7")
    assert await client.get_env("COLOUR") == "green"
    assert dict(await client.get_env()) == {"COLOUR": "green", "SIZE": "7"}
    await client.set_env("COLOUR", None)
    text = f"Environment variable 'COLOUR' not found in workspace {alice.workspace}"
    with pytest.raises(Exception, match=text) as failure:
        await client.get_env("COLOUR")
    assert "KeyError" in str(failure.value)


@pytest.mark.spec("core-M5")
async def test_concurrent_writers_of_the_environment_lose_nothing(connect: Connect, alice: Person) -> None:
    one, two = await connect(alice), await connect(alice)
    writes = [(one, two)[number % 2].set_env(f"KEY_{number}", str(number)) for number in range(20)]
    await asyncio.gather(*writes)
    assert dict(await one.get_env()) == {f"KEY_{number}": str(number) for number in range(20)}


@pytest.mark.spec("core-M6")
async def test_read_only_client_may_call_public_services_but_change_nothing(
    connect: Connect, alice: Person, bob: Person
) -> None:
    await connect(alice)
    provider = await connect(bob)
    await provider.register_service({"id": "open", "config": {"visibility": "public"}, "hello": lambda: "hi"})
    reader = await connect(token=alice.token_for("r"))
    for call in (
        lambda: reader.echo(1),
        lambda: reader.set_env("A", "1"),
        lambda: reader.get_env(),
        lambda: reader.log("x"),
        lambda: reader.register_service({"id": "svc", "hello": lambda: 1}),
        lambda: reader.log_event("x"),
        lambda: reader.register_service_type({"id": "t", "name": "t", "definition": {}}),
    ):
        with pytest.raises(Exception, match=f"Permission denied for workspace {alice.workspace}"):
            await call()
    assert await (await reader.get_service(f"{bob.workspace}/open")).hello() == "hi"


@pytest.mark.spec("core-M7")
async def test_tokens_are_minted_only_for_known_levels_and_own_workspaces(
    connect: Connect, alice: Person, bob: Person
) -> None:
    client = await connect(alice)
    await connect(bob)
    with pytest.raises(Exception, match=r"(?i)root|permission"):
        await client.generate_token({"permission": "root"})
    with pytest.raises(Exception, match=r"You do not have any permission"):
        await client.generate_token({"workspace": bob.workspace})
    with pytest.raises(Exception, match=r"(?i)only .*admin"):
        await client.generate_token({"email": "somebody@else.example"})


@pytest.mark.spec("core-M8")
async def test_logged_events_are_counted_and_listed(connect: Connect, alice: Person) -> None:
    client = await connect(alice)
    with pytest.raises(Exception, match=r"Event type must not contain spaces"):
        await client.log_event("a b")
    await client.log_event("measured", {"value": 1})
    await client.log_event("measured", {"value": 2})
    await client.log("a message")
    events = await client.get_events(event_type="measured")
    assert [event["data"]["value"] for event in events] == [1, 2]
    assert {event["workspace"] for event in events} == {alice.workspace}
    assert {event["user_id"] for event in events} == {alice.id}
    assert datetime.fromisoformat(events[0]["timestamp"]).tzinfo is None
    stats = {entry["event_type"]: entry["count"] for entry in await client.get_event_stats()}
    assert stats["measured"] == 2 and stats["log"] == 1
    assert await client.get_events(event_type="measured", start_time="2100-01-01T00:00:00") == []


@pytest.mark.spec("core-M8")
async def test_set_env_is_logged_with_the_key_only(connect: Connect, alice: Person) -> None:
    client = await connect(alice)
    await client.set_env("PASSWORD", "swordfish")
    events = await client.get_events(event_type="env_set")
    assert "PASSWORD" in json.dumps(events) and "swordfish" not in json.dumps(events)


@pytest.mark.spec("core-M9")
async def test_ping_of_nobody_returns_a_text(connect: Connect, alice: Person) -> None:
    client = await connect(alice)
    assert (await client.ping("nobody", 1)).startswith("Failed to ping client")
    assert await client.ping(client.config.client_id) == "pong"


@pytest.mark.spec("core-M12")
async def test_service_types_are_registered_once_and_checked(connect: Connect, alice: Person) -> None:
    client = await connect(alice)
    definition = {
        "id": {"type": "string"},
        "add": {
            "type": "function",
            "function": {
                "name": "add",
                "description": "Add two numbers.",
                "parameters": {
                    "type": "object",
                    "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
                },
            },
        },
    }
    kind = {"id": "adder", "name": "Adder", "description": "adds", "definition": definition}
    registered = await client.register_service_type(kind)
    assert (registered["id"], registered["name"]) == ("adder", "Adder")
    full = {**kind, "id": f"{alice.workspace}/full"}
    assert (await client.register_service_type(full))["id"] == full["id"], "the id is as given"
    await client.register_service_type({**kind, "id": "adder-2"})
    with pytest.raises(Exception, match=r"Service type already exists: adder") as failure:
        await client.register_service_type(kind)
    assert "KeyError" in str(failure.value)
    found = await client.get_service_type("adder")
    assert found["id"] == f"{alice.workspace}/adder"
    names = [f"{alice.workspace}/{name}" for name in ("adder", "adder-2", "full")]
    assert [entry["id"] for entry in await client.list_service_types()] == names
    service = {"id": "svc", "type": "adder", "add": lambda a, b: a + b}
    await client.register_service(service, {"check_type": True})
    schema = (await client.get_service_info("svc"))["service_schema"]["add"]["function"]
    assert schema["parameters"]["properties"]["a"]["type"] == "number"
    with pytest.raises(Exception, match=r"Service type not found: none-such"):
        await client.get_service_type("none-such")
    with pytest.raises(Exception, match=r"Failed to get service type none-such"):
        await client.register_service({"id": "x", "type": "none-such"}, {"check_type": True})


@pytest.mark.spec("core-M13")
async def test_cleanup_removes_a_client_that_was_killed(
    connect: Connect, connect_raw: ConnectRaw, python_worker: NewWorker, server: ServerProcess, alice: Person
) -> None:
    worker = await python_worker()
    await worker.connect(server.url, token=alice.token, client_id="victim")
    await worker.serve("lab")
    admin = await connect(alice)
    worker.kill()

    async def cleaned() -> bool:
        await admin.cleanup(timeout=1)
        return not [entry for entry in await admin.list_clients() if entry["id"].endswith("/victim")]

    await eventually(cleaned, within_s=10, interval_s=0.3)
    with pytest.raises(Exception, match=r"Service not found"):
        await admin.get_service("victim:lab")


@pytest.mark.spec("core-M13")
async def test_cleanup_leaves_live_clients_alone(connect: Connect, alice: Person) -> None:
    admin, other = await connect(alice), await connect(alice)
    await admin.cleanup(timeout=1)
    listed = {entry["id"] for entry in await admin.list_clients()}
    assert listed == {f"{alice.workspace}/{client.config.client_id}" for client in (admin, other)}


@pytest.mark.spec("core-2.2")
async def test_cleanup_needs_admin_here_and_there(connect: Connect, alice: Person, bob: Person) -> None:
    stranger = await connect(bob)
    reader = await connect(alice.with_token(alice.token_for("r", user_id=f"reader-{alice.id}")))
    for client, user_id in ((stranger, bob.id), (reader, f"reader-{alice.id}")):
        with pytest.raises(
            Exception, match=f"Permission denied for workspace {alice.workspace}, user: {user_id}"
        ):
            await client.cleanup(alice.workspace, timeout=1)


@pytest.mark.spec("core-2.2")
async def test_bookmarks_are_kept_in_the_own_workspace(connect: Connect, alice: Person) -> None:
    client, name = await connect(alice), new_name()
    await client.create_workspace({"id": name, "description": "to remember"})
    await client.bookmark({"bookmark_type": "workspace", "id": name})
    bookmarks = (await client.get_workspace_info(alice.workspace))["config"]["bookmarks"]
    assert [entry["description"] for entry in bookmarks if entry["id"] == name] == ["to remember"]
    await client.unbookmark({"bookmark_type": "workspace", "id": name})
    bookmarks = (await client.get_workspace_info(alice.workspace))["config"].get("bookmarks", [])
    assert name not in [entry["id"] for entry in bookmarks]
    with pytest.raises(Exception, match=r"not found"):
        await client.unbookmark({"bookmark_type": "workspace", "id": name})
    with pytest.raises(Exception, match=r"Invalid bookmark type: planet"):
        await client.bookmark({"bookmark_type": "planet", "id": "x"})
    with pytest.raises(Exception, match=r"Bookmark type must be provided"):
        await client.bookmark({"id": "x"})


@pytest.mark.spec("core-2.2")
@pytest.mark.parametrize("form", ["{ws}/marked", "{ws}/provider:marked"])
async def test_bookmark_of_a_service_is_forgotten_by_the_item_that_made_it(
    connect: Connect, alice: Person, bob: Person, form: str
) -> None:
    provider, client = await connect(bob, client_id="provider"), await connect(alice)
    await provider.register_service({"id": "marked", "config": {"visibility": "public"}})
    await provider.register_service({"id": "kept", "config": {"visibility": "public"}})
    item = {"bookmark_type": "service", "id": form.format(ws=bob.workspace)}
    await client.bookmark(item)
    await client.bookmark({"bookmark_type": "service", "id": f"{bob.workspace}/kept"})
    await client.unbookmark(item)
    bookmarks = (await client.get_workspace_info())["config"]["bookmarks"]
    assert [entry["name"] for entry in bookmarks] == ["kept"]
    with pytest.raises(Exception, match=r"Bookmark not found"):
        await client.unbookmark(item)


@pytest.mark.spec("core-A8")
async def test_owner_named_by_email_is_admin(connect: Connect, server: ServerProcess, alice: Person) -> None:
    email = f"{uuid.uuid4().hex[:8]}@lab.example"
    colleague = make_person(server, "colleague", email=email)
    owner, name = await connect(alice), new_name()
    await owner.create_workspace({"id": name, "owners": [email]})
    inside = await connect(colleague, workspace=name)
    assert (await inside.check_status())["user_permission"] == "a"


@pytest.mark.spec("core-P4")
@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_what_was_acknowledged_survives_a_restart(
    start_server: StartServer, connect: Connect, how: str
) -> None:
    own = await start_server()
    alice, name = make_person(own, "alice"), new_name()
    client = await connect(alice, url=own.url)
    await client.create_workspace({"id": name, "persistent": True, "description": "kept"})
    inside = await connect(alice, url=own.url, workspace=name)
    await inside.set_env("KEY", "value")
    await inside.register_service_type({"id": "kind", "name": "Kind", "definition": {}})
    await client.bookmark({"bookmark_type": "workspace", "id": name})
    token = await client.generate_token()
    await client.revoke_token(token)
    kept = await client.generate_token()
    await inside.disconnect()
    await client.disconnect()
    await asyncio.to_thread(own.restart, kill=how == "kill")
    again = await connect(alice, url=own.url, workspace=name)
    assert await again.get_env("KEY") == "value"
    assert (await again.get_workspace_info())["description"] == "kept"
    assert (await again.get_service_type("kind"))["name"] == "Kind"
    home = await connect(alice, url=own.url)
    bookmarks = (await home.get_workspace_info())["config"]["bookmarks"]
    assert name in [entry["id"] for entry in bookmarks]
    with pytest.raises(ConnectionAbortedError, match=r"Token has been revoked"):
        await connect(token=token, url=own.url)
    assert (await connect(token=kept, url=own.url)).config.workspace == alice.workspace


@pytest.mark.spec("core-P4")
async def test_environment_is_not_readable_in_the_data_folder(
    start_server: StartServer, connect: Connect
) -> None:
    own = await start_server()
    client = await connect(make_person(own, "alice"), url=own.url)
    await client.set_env("PASSWORD", "swordfish-in-the-clear")
    await asyncio.to_thread(own.stop)
    files = [path for path in own.data_dir.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"swordfish-in-the-clear" in path.read_bytes()]


@pytest.mark.spec("core-P4")
async def test_temporary_workspace_vanishes_after_its_last_client(
    start_server: StartServer, connect: Connect
) -> None:
    own = await start_server(env={"HYPHA_WORKSPACE_UNLOAD_GRACE_PERIOD": "0"})
    alice, name = make_person(own, "alice"), new_name()
    home = await connect(alice, url=own.url)
    await home.create_workspace({"id": name, "persistent": False})
    inside = await connect(alice, url=own.url, workspace=name)
    await inside.disconnect()

    async def is_gone() -> bool:
        return name not in [entry["id"] for entry in await home.list_workspaces()]

    await eventually(is_gone, within_s=10)


@pytest.mark.spec("core-O4", "artifacts-C3.9")
async def test_what_a_workspace_keeps_survives_a_restart_and_is_nobody_elses(
    start_server: StartServer, connect: Connect
) -> None:
    own = await start_server(env={"HYPHA_RESUME_WINDOW": "1"})
    alice, bob = make_person(own, "alice"), make_person(own, "bob")
    client = await connect(alice, url=own.url)
    await client.set_env("KEY", "swordfish")
    await client.disconnect()
    own.restart()
    client, other = await connect(alice, url=own.url), await connect(bob, url=own.url)
    assert await client.get_env() == {"KEY": "swordfish"}
    assert await other.get_env() == {}
    with pytest.raises(Exception, match="Environment variable 'KEY' not found"):
        await other.get_env("KEY")
    with pytest.raises(Exception, match=r"[Pp]ermission denied"):
        await connect(bob, url=own.url, workspace=alice.workspace)


@pytest.mark.parametrize("way", ["left by all", "unloaded", "left over after a restart"])
async def test_tokens_for_a_temporary_workspace_end_when_it_vanishes(
    start_server: StartServer, connect: Connect, connect_raw: ConnectRaw, way: str
) -> None:
    own = await start_server(env={"HYPHA_RESUME_WINDOW": "1"})
    alice, bob, name = make_person(own, "alice"), make_person(own, "bob"), new_name()
    home = await connect_raw(alice, url=own.ws_url)
    await home.call_manager("create_workspace", {"id": name, "persistent": False})
    request = {"workspace": name, "permission": "admin"}
    token, kept = [await home.call_manager("generate_token", wish) for wish in (request, {})]
    inside = await connect_raw(token=token, url=own.ws_url, workspace=name)
    if way == "left by all":
        await inside.close()
    elif way == "unloaded":
        root = await connect(token=own.root_token, url=own.url)
        await (await root.get_service("ws-user-root/admin-utils")).unload_workspace(name, wait=True)
    else:
        own.restart()
        home = await connect_raw(alice, url=own.ws_url)

    async def is_gone() -> bool:
        return name not in [entry["id"] for entry in await home.call_manager("list_workspaces")]

    await eventually(is_gone, within_s=10)
    stranger = await connect(bob, url=own.url)
    await stranger.create_workspace({"id": name, "persistent": False})
    with pytest.raises(RawRefused, match="revoked"):
        await connect_raw(token=token, url=own.ws_url, workspace=name)
    assert (await connect_raw(token=kept, url=own.ws_url)).workspace == alice.workspace


@pytest.mark.spec("core-2.2")
async def test_log_event_and_echo_need_arguments_that_fit(connect_raw: ConnectRaw) -> None:
    raw = await connect_raw()
    with pytest.raises(RawCallError, match=r"TypeError"):
        await raw.call_manager("echo")
    with pytest.raises(RawCallError, match=r"TypeError"):
        await raw.call_manager("echo", 1, 2, 3)
    with pytest.raises(RawCallError, match=r"TypeError"):
        await raw.call_manager("echo", kwargs={"colour": 1})
