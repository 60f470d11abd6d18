"""Listings, search and the shapes of the manager's answers (docs/spec/manager.md#listing)."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from typing import Any

import httpx
import pytest

from hypha.testing import ServerProcess
from tests.e2e.lab import ids, service
from tests.kit.clients import Connect, ConnectRaw, StartServer
from tests.kit.people import Person


@pytest.mark.spec("core-R14")
async def test_list_services_accepts_text_and_map_queries(
    connect: Connect, alice: Person, bob: Person
) -> None:
    one, two = await connect(alice, client_id="one"), await connect(alice, client_id="two")
    await one.register_service({**service("alpha"), "type": "instrument"})
    await one.register_service(service("beta", visibility="public"))
    await two.register_service(service("beta", visibility="public"))
    here, stranger = alice.workspace, await connect(bob)
    alpha, one_beta, two_beta = f"{here}/one:alpha", f"{here}/one:beta", f"{here}/two:beta"
    expected: list[tuple[Any, set[str]]] = [
        (None, {alpha, one_beta, two_beta}),
        (here, {alpha, one_beta, two_beta}),
        (f"{here}/beta", {one_beta, two_beta}),
        ("one:beta", {one_beta}),
        (f"{here}/two:beta", {two_beta}),
        ({"type": "instrument"}, {alpha}),
        ({"client_id": "one"}, {alpha, one_beta}),
        ({"service_id": "beta"}, {one_beta, two_beta}),
        ({"id": "alpha"}, {alpha}),
        ({"visibility": "public"}, {one_beta, two_beta}),
        ({"app_id": "no-such-app"}, set()),
    ]
    for query, wanted in expected:
        assert set(ids(await two.list_services(query))) == wanted, query
    assert set(ids(await stranger.list_services(here))) == {one_beta, two_beta}
    everywhere = ids(await stranger.list_services("*/beta"))
    assert {one_beta, two_beta} <= set(everywhere)


@pytest.mark.spec("core-R14")
@pytest.mark.parametrize(
    ("query", "options", "text"),
    [
        (
            {"workspace": "*", "visibility": "protected"},
            {},
            "Cannot list protected or unlisted services in all workspaces",
        ),
        ({"workspace": "*"}, {"include_unlisted": True}, "Cannot include unlisted services|unlisted"),
        (
            {"workspace": "public"},
            {"include_unlisted": True},
            "Cannot include unlisted services from workspace",
        ),
        ({"colour": "red"}, {}, "Invalid query keys"),
        ({"id": "a", "service_id": "b"}, {}, "must not have both 'id' and 'service_id'"),
        ({"type": "a;b"}, {}, "Invalid characters in query part: a;b"),
    ],
)
async def test_list_services_names_what_is_wrong(
    connect: Connect, query: Any, options: Any, text: str
) -> None:
    client = await connect()
    with pytest.raises(Exception, match=text):
        await client.list_services(query, **options)


@pytest.mark.spec("core-R14", "wire-16.10", "core-11.1.9")
async def test_listings_reveal_nothing_about_users_to_strangers(
    connect: Connect, connect_raw: ConnectRaw, alice: Person, server: ServerProcess, bob: Person
) -> None:
    provider = await connect(alice)
    await provider.register_service(service(visibility="public"))
    stranger = await connect_raw(bob)
    for query in ("*", alice.workspace, {"workspace": alice.workspace, "type": "built-in"}):
        for entry in await stranger.call_manager("list_services", query):
            assert set(entry["config"].get("created_by") or {}) <= {"id"}
            assert not (entry["id"].endswith(":built-in") and entry["id"].startswith(alice.workspace))


@pytest.mark.spec("core-11.1.9")
async def test_members_see_built_in_entries_with_the_users_id_only(connect: Connect, alice: Person) -> None:
    client = await connect(alice)
    entries = await client.list_services({"type": "built-in"})
    assert [entry["id"] for entry in entries] == [f"{alice.workspace}/{client.config.client_id}:built-in"]
    assert dict(entries[0]["config"]["created_by"]) == {"id": alice.id}


@pytest.mark.spec("wire-34")
async def test_built_in_of_a_client_stays_resolvable(connect: Connect, alice: Person) -> None:
    client = await connect(alice, client_id="only")
    found = await client.get_service(f"{alice.workspace}/*:built-in", mode="random")
    assert found.id == f"{alice.workspace}/only:built-in"


@pytest.mark.spec("wire-35")
async def test_text_search_finds_public_and_own_services(
    connect: Connect, alice: Person, bob: Person
) -> None:
    provider, stranger = await connect(alice), await connect(bob)
    described = {
        **service("finder", visibility="public"),
        "description": "segments fluorescent nuclei quickly",
    }
    await provider.register_service(described)
    await provider.register_service(
        {**service("secret"), "description": "segments fluorescent nuclei privately"}
    )
    found = ids(await stranger.search_services("fluorescent nuclei"))
    assert not [name for name in found if name.endswith(":secret")]
    assert any(name.endswith(":finder") for name in found)


# --- shapes of manager answers -----------------------------------------------------------------


@pytest.mark.spec("wire-37")
async def test_shapes_of_small_manager_answers(connect: Connect, alice: Person) -> None:
    client = await connect(alice, client_id="one")
    await client.register_service({**service(), "description": "greets"})
    clients = await client.list_clients()
    assert [dict(entry)["id"] for entry in clients] == [f"{alice.workspace}/one"]
    assert clients[0]["user"]["id"] == alice.id
    assert await client.ping(f"{alice.workspace}/one") == "pong"
    summary = await client.get_summary()
    assert summary["client_count"] == 1 and summary["service_count"] >= 1
    assert {"name", "description", "clients", "services"} <= set(summary)
    entry = next(entry for entry in summary["services"] if entry["id"].endswith(":svc"))
    assert entry["description"] == "greets" and {"name", "type", "config"} <= set(entry)
    token = await client.generate_token()
    user = await client.parse_token(token)
    assert user["parent"] == alice.id
    assert user["scope"]["workspaces"][alice.workspace] == "rw"


@pytest.mark.spec("core-3.2")
async def test_service_info_has_the_documented_fields(connect: Connect, alice: Person) -> None:
    client = await connect(alice, client_id="one")
    await client.register_service({**service(colour="green"), "docs": "see manual", "type": "tool"})
    info = await client.get_service_info("svc")
    assert info["id"] == f"{alice.workspace}/one:svc"
    assert (info["name"], info["type"], info["docs"], info["app_id"]) == ("svc", "tool", "see manual", "*")
    config = info["config"]
    assert config["visibility"] == "protected" and config["workspace"] == alice.workspace
    assert config["singleton"] is False and config["flags"] == []
    assert dict(config["created_by"]) == {"id": alice.id}
    assert config["colour"] == "green"


@pytest.mark.spec("core-M15")
async def test_probes_answer_over_http(connect: Connect, server: ServerProcess, alice: Person) -> None:
    client = await connect(alice)
    await client.register_probes({"readiness": lambda: {"status": "ok", "service": "mine"}})

    def get() -> Any:
        with urllib.request.urlopen(
            f"{server.url}/{alice.workspace}/services/probes/readiness", timeout=5
        ) as answer:
            return json.load(answer)

    assert await asyncio.to_thread(get) == {"status": "ok", "service": "mine"}


@pytest.mark.spec("core-R14")
async def test_large_descriptions_make_no_listing_large(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    own = await start_server(env={"HYPHA_MAX_SERVICE_BYTES_PER_CLIENT": str(2**30)})
    provider = await connect_raw(url=own.ws_url)
    schema = {"run": {"type": "function", "function": {"name": "run", "description": "x" * 370_000}}}
    for number in range(60):
        info = {
            "id": f"{provider.address}:large-{number}",
            "config": {"visibility": "public", "workspace": provider.workspace},
            "service_schema": schema,
        }
        await provider.call_manager("register_service", info)
    stranger = await connect_raw(url=own.ws_url)
    infos = await stranger.call_manager("list_services", "*/")
    assert len(infos) >= 60
    async with httpx.AsyncClient(base_url=own.url) as http:
        for path in ("services/", "openapi.json"):
            answer = await http.get(f"/{provider.workspace}/{path}")
            assert answer.status_code == 200 and len(answer.content) < 2_000_000
        page = await http.get(f"/{provider.workspace}/services/?offset=10&limit=5")
        assert [info["id"].rpartition(":")[2] for info in page.json()] == [
            f"large-{n}" for n in range(10, 15)
        ]
        whole = (await http.get(f"/{provider.workspace}/services/large-7")).json()
        assert whole["service_schema"] == schema and "truncated" not in whole
    found = await stranger.call_manager("search_services", "large", kwargs={"limit": 50})
    assert len(found) == 50 and all(info["truncated"] for info in found)
