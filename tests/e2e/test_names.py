"""Names of services in any script and with marks of URLs, over every route; words of our own routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person, make_person

NAMES = ["café", "a+b", "日本", "c#", "100%", "%41", "a&b=c", "what?", "👩‍🔬"]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def provider(server: ServerProcess) -> AsyncIterator[Any]:
    """A client of which each service says its name."""
    from hypha_rpc import connect_to_server

    async with connect_to_server(
        {"server_url": server.url, "token": make_person(server, "names").token}
    ) as client:
        for name in NAMES:
            config = {"visibility": "public"}
            await client.register_service({"id": name, "config": config, "hello": lambda name=name: name})
        yield client


@pytest.mark.parametrize("name", NAMES)
async def test_a_service_of_any_name_is_found_and_called_by_rpc(
    provider: Any, connect: Connect, name: str
) -> None:
    stranger = await connect()
    workspace, client_id = provider.config.workspace, provider.config.client_id
    whole = f"{workspace}/{client_id}:{name}"
    for asking, id in (
        (provider, name),
        (provider, whole),
        (stranger, f"{workspace}/{name}"),
        (stranger, whole),
    ):
        service = await asking.get_service(id)
        assert await service.hello() == name
        assert (await asking.get_service_info(id))["id"].endswith(f":{name}")
    queries = [f"{workspace}/{name}", whole, f"{workspace}/*:{name}"]
    queries += [{"workspace": place, key: name} for key in ("id", "service_id") for place in (workspace, "*")]
    for query in queries:
        for asking in (provider, stranger):
            assert [found["id"] for found in await asking.list_services(query)] == [whole], query


@pytest.mark.parametrize("name", NAMES)
async def test_a_service_of_any_name_is_found_and_called_over_http(
    server: ServerProcess, provider: Any, name: str
) -> None:
    workspace, client_id = provider.config.workspace, provider.config.client_id
    base = f"{server.url}/{workspace}/services"
    own_url = (await provider.get_service(name)).config.url
    places = [f"{base}/{quote(name, safe='')}", f"{base}/{client_id}:{quote(name, safe='')}", own_url]
    async with httpx.AsyncClient() as http:
        for place in places:
            assert (await http.get(f"{place}/hello")).json() == name, place
            assert (await http.get(place)).json()["id"].endswith(f":{name}")
            paths = (await http.get(f"{place}/openapi.json")).json()["paths"]
            (path,) = [path for path in paths if path.endswith("/hello")]
            assert (await http.post(f"{server.url}{path}")).json() == name
        listed = (await http.get(f"{base}/")).json()
        assert any(service["id"].endswith(f":{name}") for service in listed)
        whole = (await http.get(f"{server.url}/{workspace}/openapi.json")).json()["paths"]
        (path,) = [path for path in whole if path.endswith(f"/{quote(name, safe='')}/hello")]
        assert (await http.post(f"{server.url}{path}")).json() == name
        found = await http.get(
            f"{server.url}/{workspace}/services/ws/list_services",
            params={"query": f'{{"workspace": "{workspace}", "client_id": "{client_id}"}}'},
        )
        assert len(found.json()) == len(NAMES)


async def test_a_service_that_left_is_listed_as_nothing(provider: Any) -> None:
    for name in ("cafés", "日本語", "b+a", "c#.net"):
        assert await provider.list_services({"service_id": name}) == []
    for pattern in ("caf?", "[a-z]", "a b", "x;z"):
        with pytest.raises(Exception, match="Invalid characters in query part"):
            await provider.list_services({"service_id": pattern})


@pytest.mark.parametrize("kind", ["functions", "asgi"])
async def test_an_application_of_any_name_is_served(server: ServerProcess, provider: Any, kind: str) -> None:
    async def serve(*args: Any, **_options: Any) -> dict[str, Any] | None:
        if kind == "functions":
            return {"status": 200, "headers": {}, "body": "here"}
        request = args[0]
        await request["send"]({"type": "http.response.start", "status": 200, "headers": []})
        await request["send"]({"type": "http.response.body", "body": b"here"})
        return None

    for name in ("café+1", "日本-#", "100%"):
        entry = {"index": serve} if kind == "functions" else {"serve": serve}
        await provider.register_service(
            {"id": f"{kind}-{name}", "type": kind, "config": {"visibility": "public"}, **entry}
        )
        place = f"{server.url}/{provider.config.workspace}/apps/{quote(f'{kind}-{name}', safe='')}"
        async with httpx.AsyncClient(follow_redirects=True) as http:
            for end in ("", "/"):
                answer = await http.get(place + end)
                assert answer.status_code == 200, (name, answer.text)
        await provider.unregister_service(f"{kind}-{name}")


@pytest.mark.parametrize(
    "word",
    ["health", "metrics", "rpc", "ws", "static", "assets", "login", "triton", "s3", "api-docs"],
)
async def test_nobody_makes_a_workspace_under_a_word_of_our_routes(
    server: ServerProcess, connect: Connect, root: Person, word: str
) -> None:
    operator = await connect(root)
    for options in ({}, {"overwrite": True}):
        with pytest.raises(Exception, match=r"reserved|belongs to the server"):
            await operator.create_workspace({"id": word}, **options)


async def test_other_words_without_hyphen_are_free_to_root(connect: Connect, root: Person) -> None:
    operator = await connect(root)
    assert (await operator.create_workspace({"id": "healthy"}))["id"] == "healthy"
    await operator.delete_workspace("healthy")


async def test_words_of_mounts_are_taken_too(
    start_server: StartServer, connect: Connect, tmp_path: Path
) -> None:
    own = await start_server(flags=[f"--static-mounts=/web-tools:{tmp_path}"])
    operator = await connect(url=own.url, token=own.root_token)
    with pytest.raises(Exception, match="web-tools is reserved"):
        await operator.create_workspace({"id": "web-tools"})
