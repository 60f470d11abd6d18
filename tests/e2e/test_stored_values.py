"""Promise: nobody can store what others fail on when they list it, and functions of no one are among it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hypha.testing import NodeWorker, ServerProcess
from tests.kit.clients import Connect, ConnectRaw
from tests.kit.people import Person

ODD: dict[str, Any] = {
    "array": {"_rtype": "ndarray"},
    "function": {"_rtype": "method", "_rtarget": "w/c", "_rmethod": "services.a.b"},
    "codec": {"_rtype": "my-codec", "x": 1},
    "prototype": {"__proto__": {"a": 1}},
}


async def store(client: Any, place: str, odd: Any) -> None:
    """Let a client store a value with something odd in it at one of the places where others see it."""
    value, name = {"deep": [odd]}, f"odd{len(client.rpc._services)}"
    queue = await client.get_service("public/queue")
    artifacts = await client.get_service("public/artifact-manager")
    workspace = f"odd-{client.config.user['id']}".lower().replace("_", "-")[:60]
    await {
        "config": lambda: client.register_service(
            {"id": name, "config": {"visibility": "public", "x": value}}
        ),
        "docs": lambda: client.register_service({"id": name, "docs": value}),
        "manifest": lambda: artifacts.create(alias="odd", manifest={"name": "odd", "x": value}),
        "artifact config": lambda: artifacts.create(
            alias="odd", manifest={"name": "odd"}, config={"x": value}
        ),
        "secret": lambda: artifacts.create(alias="odd", manifest={"name": "odd"}, secrets={"x": value}),
        "workspace": lambda: client.create_workspace({"id": workspace, "config": {"x": value}}),
        "variable": lambda: client.set_env("ODD", value),
        "name of a variable": lambda: client.set_env(next(iter(odd)), "ndarray"),
        "event": lambda: client.log_event("odd", value),
        "service type": lambda: client.register_service_type({"id": "odd", "definition": value}),
        "queue": lambda: queue.push("odd", value),
    }[place]()


PLACES = (
    "config", "docs", "manifest", "artifact config", "secret", "workspace", "variable", "event",
    "service type",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
async def test_a_value_that_others_cannot_decode_is_stored_nowhere(
    connect: Connect, alice: Person, place: str
) -> None:
    client = await connect(alice)
    for odd in ODD.values():
        with pytest.raises(Exception, match=r"ValueError: .*at '(.+\.)?deep\.0'|.*names somebody else"):
            await store(client, place, odd)


async def test_names_and_tasks_are_held_to_it_too(connect: Connect, alice: Person) -> None:
    client = await connect(alice)
    for odd in ("array", "prototype"):
        with pytest.raises(Exception, match=r"ValueError: .*choose another name"):
            await store(client, "name of a variable", ODD[odd])
        with pytest.raises(Exception, match=r"ValueError: 'task' .*at 'deep\.0'"):
            await store(client, "queue", ODD[odd])
    await store(client, "queue", ODD["codec"])
    queue = await client.get_service("public/queue")
    assert await queue.pop("odd", timeout=0) == {"deep": [ODD["codec"]]}


async def test_sets_and_maps_are_kept_as_lists_and_objects(
    connect: Connect, server: ServerProcess, alice: Person
) -> None:
    client = await connect(alice)
    artifacts = await client.get_service("public/artifact-manager")
    ordered = {"_rtype": "orderedmap", "_rvalue": [["b", {"c"}]]}  # as JavaScript sends a Map
    await artifacts.create(alias="sets", manifest={"name": "sets", "tags": {"leaf"}, "map": ordered})
    wanted = {"name": "sets", "tags": ["leaf"], "map": {"b": ["c"]}}
    assert (await artifacts.read("sets"))["manifest"] == wanted
    async with httpx.AsyncClient(base_url=server.url) as http:
        auth = {"Authorization": f"Bearer {alice.token}"}
        answer = await http.get(f"/{alice.workspace}/artifacts/sets", headers=auth)
    assert answer.json()["manifest"] == wanted
    for odd in ({1}, {"_rtype": "orderedmap", "_rvalue": [[1, 2]]}):
        with pytest.raises(Exception, match="ValueError: "):
            await artifacts.create(alias="odd", manifest=odd)
    await client.log_event("sets", {"a": {1}})
    assert (await client.get_events("sets"))[0]["data"] == {"a": [1]}
    await client.set_env("SETS", {1})
    assert await client.get_env("SETS") == [1]
    await client.register_service_type({"id": "sets", "definition": {"a": {1}}, "config": ordered})
    assert (await client.get_service_type("sets"))["config"] == {"b": ["c"]}


async def test_a_stranger_does_not_spoil_the_list_of_all_services(
    connect: Connect, connect_raw: ConnectRaw, node: NodeWorker, server: ServerProcess, alice: Person
) -> None:
    stranger = await connect_raw()
    for odd in (
        {"_rtype": "ndarray"},
        {"_rtype": "memoryview"},
        {"__proto__": 1},
        {b"bytes": 1},
        {"_rtype": []},
    ):
        with pytest.raises(Exception, match="ValueError: 'config' "):
            await stranger.offer("odd", visibility="public", x=[odd])
    await stranger.offer("even", visibility="public", x={"_rtype": "set", "_rvalue": [1]})
    found = await (await connect(alice)).list_services("*")
    (even,) = (each for each in found if each["id"].endswith(f"{stranger.address}:even"))
    assert even["config"]["x"] == {1}
    names = await node.run(
        """
        const server = await connect({server_url: args.url});
        return (await server.listServices("*")).map((each) => each.id);
        """,
        url=server.url,
    )
    assert f"{stranger.address}:even" in names


async def test_json_files_of_others_make_no_functions(connect: Connect, alice: Person) -> None:
    artifacts = await (await connect(alice)).get_service("public/artifact-manager")
    await artifacts.create(alias="files", manifest={"name": "files"}, stage=True)
    odd = '{"a": {"\\u005frtype": "method", "_rtarget": "w/c", "_rmethod": "services.a.b"}}'
    await artifacts.write_file("files", "odd.json", odd)
    await artifacts.write_file("files", "even.json", {"a": [1]}, format="json")
    await artifacts.commit("files")
    with pytest.raises(Exception, match=r"ValueError: .*read as text.* at 'a'"):
        await artifacts.read_file("files", "odd.json", format="json")
    assert (await artifacts.read_file("files", "odd.json"))["content"] == odd
    assert (await artifacts.read_file("files", "even.json", format="json"))["content"] == {"a": [1]}
