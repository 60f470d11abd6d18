"""Calling services by HTTP, with a real Python provider (docs/http.md).

No postponed annotations here: the client library derives schemas from the real types.
"""

import asyncio
import base64
import gzip
import json
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgpack
import numpy as np
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess, eventually
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person

PACKED = {"content-type": "application/msgpack"}


class Lab:
    """A provider with one service, and an HTTP client that knows its address."""

    def __init__(self, http: httpx.AsyncClient, workspace: str, client: Any, state: dict[str, Any]) -> None:
        self.http = http
        self.workspace = workspace
        self.client = client
        self.state = state
        self.base = f"/{workspace}/services/lab"


def functions(state: dict[str, Any]) -> dict[str, Any]:
    """The provider's functions; `state` shows what happened in them."""

    def add(a, b):  # type: ignore[no-untyped-def]
        return a + b

    def typed(n: int, flag: bool, xs: list, name: str) -> list[Any]:  # type: ignore[type-arg]
        return [n, flag, xs, name]

    def tell(workspace: str, service_id: str = "") -> list[str]:
        return [workspace, service_id]

    def fail(kind: str, text: str = "boom") -> None:
        raise {
            "KeyError": KeyError,
            "PermissionError": PermissionError,
            "TypeError": TypeError,
            "ValueError": ValueError,
            "AssertionError": AssertionError,
            "RuntimeError": RuntimeError,
        }[kind](text)

    async def count(n: int, pause_s: float = 0.0) -> AsyncIterator[int]:
        try:
            for i in range(n):
                state["made"] = i
                yield i
                await asyncio.sleep(pause_s)
        finally:
            state["closed"] = True

    async def broken(n: int) -> AsyncIterator[int]:
        for i in range(n):
            yield i
        raise ValueError("half way")

    return {
        "add": add,
        "typed": typed,
        "tell": tell,
        "fail": fail,
        "count": count,
        "broken": broken,
        "echo": lambda data=None: data,
        "array": lambda: np.arange(6, dtype="float32").reshape(2, 3),
        "nested": {"deep": {"f": lambda x=1: f"deep {x}"}},
        "answer": 42,
        "callback": lambda: {"cb": lambda: 1},
        "nothing": lambda: None,
    }


@pytest_asyncio.fixture(loop_scope="session")
async def lab(server: ServerProcess, connect: Connect, alice: Person) -> AsyncIterator[Lab]:
    client = await connect(alice, client_id="provider")
    state: dict[str, Any] = {}
    await client.register_service({"id": "lab", "config": {"visibility": "public"}, **functions(state)})
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        yield Lab(http, alice.workspace, client, state)


@pytest.mark.spec("core-H1")
async def test_every_way_of_passing_arguments_gives_the_same_sum(lab: Lab) -> None:
    url = f"{lab.base}/add"
    zipped = gzip.compress(b'{"a": 1, "b": 2}')
    answers = [
        await lab.http.get(f"{url}?a=1&b=2"),
        await lab.http.post(url, json={"a": 1, "b": 2}),
        await lab.http.post(url, json=[1, 2]),
        await lab.http.post(url, content=zipped, headers={"content-encoding": "gzip"}),
        await lab.http.get(f"/{lab.workspace}/services/provider:lab/add?a=1&b=2"),
        await lab.http.get(f"/{lab.workspace}/services/lab@*/add?a=1&b=2"),
    ]
    assert [(a.status_code, a.json()) for a in answers] == [(200, 3)] * len(answers)
    packed = await lab.http.post(url, content=msgpack.packb({"a": 1, "b": 2}), headers=PACKED)
    assert msgpack.unpackb(packed.content) == 3
    assert (await lab.http.post(f"{lab.base}/echo", json=5)).json() == 5
    assert (await lab.http.post(f"{lab.base}/nothing")).json() is None


async def test_the_schema_decides_what_query_text_becomes(lab: Lab) -> None:
    answer = await lab.http.get(f"{lab.base}/typed?n=007&flag=true&xs=[1,2]&name=007")
    assert answer.json() == [7, True, [1, 2], "007"]
    told = await lab.http.get(f"{lab.base}/tell?workspace=w&service_id=s")
    assert told.json() == ["w", "s"]
    assert (await lab.http.get(f"{lab.base}/echo?data=nan")).json() == "nan"


async def test_arrays_and_large_values_travel_as_msgpack(lab: Lab) -> None:
    answer = await lab.http.post(f"{lab.base}/array", headers=PACKED)
    value = msgpack.unpackb(answer.content)
    assert (value["_rtype"], value["_rshape"], value["_rdtype"]) == ("ndarray", [2, 3], "float32")
    back = await lab.http.post(f"{lab.base}/echo", content=msgpack.packb([value]), headers=PACKED)
    assert msgpack.unpackb(back.content) == value
    lists = await lab.http.get(f"{lab.base}/array")
    assert np.asarray(lists.json()).shape == (2, 3)
    described = await lab.http.get(f"{lab.base}/array?_arrays=base64")
    assert described.json() == {**value, "_rvalue": base64.b64encode(value["_rvalue"]).decode()}
    big = {"data": {"first": os.urandom(3_000_000), "then": [1, os.urandom(9_000_000), "end"]}}
    answer = await lab.http.post(f"{lab.base}/echo", content=msgpack.packb(big), headers=PACKED)
    assert msgpack.unpackb(answer.content) == big["data"]


@pytest.mark.spec("core-H2")
@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("KeyError", 404),
        ("PermissionError", 403),
        ("TypeError", 400),
        ("ValueError", 400),
        ("AssertionError", 400),
        ("RuntimeError", 500),
    ],
)
async def test_errors_have_their_status_and_hide_the_providers_files(
    lab: Lab, kind: str, status: int
) -> None:
    answer = await lab.http.get(f"{lab.base}/fail?kind={kind}")
    body = answer.json()
    assert answer.status_code == status
    assert body["success"] is False
    assert body["detail"].startswith(f"RemoteException: {kind}: ")
    assert "boom" in body["detail"]
    assert ".py" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.spec("core-H2")
async def test_a_provider_that_left_is_not_waited_for(lab: Lab, connect: Connect, alice: Person) -> None:
    other = await connect(alice, client_id="leaver")
    await other.register_service({"id": "leaving", "config": {"visibility": "public"}, "f": lambda: 1})
    url = f"/{lab.workspace}/services/leaving/f"
    assert (await lab.http.get(url)).json() == 1
    await other.disconnect()
    started = time.monotonic()

    async def is_refused() -> bool:
        return (await lab.http.get(url)).status_code in (404, 503)

    await eventually(is_refused, within_s=5)
    assert time.monotonic() - started < 5


@pytest.mark.spec("core-H3")
async def test_generators_arrive_item_by_item(lab: Lab) -> None:
    async with lab.http.stream("GET", f"{lab.base}/count?n=3&pause_s=0.3") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        assert await anext(lines) == "data: 0"
        assert lab.state["made"] < 2
        rest = [line async for line in lines if line]
    assert rest == ["data: 1", "data: 2", "data: [DONE]"]
    packed = await lab.http.post(f"{lab.base}/count", content=msgpack.packb({"n": 3}), headers=PACKED)
    unpacker = msgpack.Unpacker()
    unpacker.feed(packed.content)
    assert list(unpacker) == [0, 1, 2]
    broken = await lab.http.get(f"{lab.base}/broken?n=1")
    events = broken.text.strip().split("\n\n")
    assert (events[0], events[-1]) == ("data: 0", "data: [DONE]")
    assert json.loads(events[1].removeprefix("data: ")) == {"error": "ValueError: half way"}


@pytest.mark.spec("core-H3")
async def test_a_reader_who_leaves_closes_the_generator(lab: Lab) -> None:
    async with lab.http.stream("GET", f"{lab.base}/count?n=100000&pause_s=0.05") as answer:
        assert await anext(answer.aiter_lines()) == "data: 0"

    async def is_closed() -> bool:
        return bool(lab.state.get("closed"))

    await eventually(is_closed, within_s=10)


@pytest.mark.spec("core-H4")
async def test_credentials_come_as_bearer_basic_bare_or_cookie(lab: Lab, alice: Person) -> None:
    url = f"/{lab.workspace}/services/ws/parse_token"
    basic = base64.b64encode(f"any:{alice.token}".encode()).decode()
    ways: list[dict[str, str]] = [
        {"authorization": f"Bearer {alice.token}"},
        {"authorization": f"Basic {basic}"},
        {"authorization": alice.token},
        {"cookie": f"access_token={alice.token}"},
    ]
    for headers in ways:
        answer = await lab.http.post(url, json={"token": alice.token}, headers=headers)
        assert answer.json()["id"] == alice.id, headers
    for headers in ({"authorization": "Bearer nonsense"}, {"cookie": "access_token=nonsense"}):
        answer = await lab.http.get(f"{lab.base}/add?a=1&b=2", headers=headers)
        assert (answer.status_code, answer.json()["success"]) == (401, False)
    foreign = {"cookie": f"access_token={alice.token}", "origin": "https://elsewhere.example"}
    listed = await lab.http.get(f"/{lab.workspace}/info", headers=foreign)
    assert listed.status_code == 403


@pytest.mark.spec("core-H5")
async def test_dotted_missing_and_plain_keys(lab: Lab) -> None:
    assert (await lab.http.get(f"{lab.base}/nested.deep.f?x=2")).json() == "deep 2"
    assert (await lab.http.get(f"{lab.base}/answer")).json() == 42
    group = (await lab.http.get(f"{lab.base}/nested")).json()
    assert group["deep"]["f"]["type"] == "function"
    missing = await lab.http.get(f"{lab.base}/nope")
    assert (missing.status_code, missing.json()["detail"]) == (404, "nope not found.")
    assert (await lab.http.get(f"{lab.base}/callback")).json()["cb"]["type"] == "function"
    assert (await lab.http.put(f"{lab.base}/add")).status_code == 405
    assert (await lab.http.delete(f"{lab.base}/add")).status_code == 405


@pytest.mark.spec("core-H7")
async def test_lists_and_info_for_owner_stranger_and_missing(lab: Lab, alice: Person, bob: Person) -> None:
    await lab.client.register_service({"id": "hidden", "f": lambda: 1})
    owner = {"authorization": f"Bearer {alice.token}"}
    stranger = {"authorization": f"Bearer {bob.token}"}
    services = f"/{lab.workspace}/services/"
    seen = {entry["id"] for entry in (await lab.http.get(services, headers=owner)).json()}
    assert {"provider:lab", "provider:hidden"} <= seen
    for headers in (stranger, {}):
        listed = (await lab.http.get(services, headers=headers)).json()
        assert {entry["id"] for entry in listed} == {"provider:lab"}
        assert (await lab.http.get(f"/{lab.workspace}/info", headers=headers)).status_code == 403
        assert (await lab.http.get(f"{services}hidden", headers=headers)).status_code == 403
        assert (await lab.http.get(f"{services}hidden/f", headers=headers)).status_code == 403
    assert (await lab.http.get(f"{services}hidden/f", headers=owner)).json() == 1
    info = await lab.http.get(f"/{lab.workspace}/info", headers=owner)
    assert info.json()["id"] == lab.workspace
    assert "environs" not in info.text
    for path in ("/ws-user-nobody-there/info", "/ws-user-nobody-there/services/"):
        assert (await lab.http.get(path, headers=owner)).status_code == 404
    redirect = await lab.http.get(f"/{lab.workspace}/services")
    assert redirect.status_code == 307


async def test_the_manager_is_asked_only_at_addresses_of_workspaces(lab: Lab, alice: Person) -> None:
    headers = {"Authorization": f"Bearer {alice.token}"}
    for known in (None, headers):
        answer = await lab.http.get("/ws-nobody-here/services/ws/check_status", headers=known)
        assert answer.status_code == 404
        assert answer.json()["detail"] == "Workspace 'ws-nobody-here' not found"
    for path in (f"/{alice.workspace}", f"/{lab.workspace}", "/public"):
        answer = await lab.http.get(f"{path}/services/ws/check_status", headers=headers)
        assert answer.json()["user_permission"] == "a"


@pytest.mark.spec("core-H8")
async def test_cors_preflight_and_echo(lab: Lab) -> None:
    asking = {"origin": "https://page.example", "access-control-request-method": "POST"}
    preflight = await lab.http.options(f"{lab.base}/add", headers=asking)
    answer = await lab.http.get(f"{lab.base}/add?a=1&b=2", headers={"origin": "https://page.example"})
    for got in (preflight, answer):
        assert got.status_code == 200
        assert got.headers["access-control-allow-origin"] == "https://page.example"
        assert "access-control-allow-credentials" not in got.headers  # no operator has named this origin


@pytest.mark.spec("core-H9")
async def test_limits_bite_strangers_only(start_server: StartServer) -> None:
    limits = {"HYPHA_HTTP_RATE_LIMIT": "5", "HYPHA_HTTP_BURST_LIMIT": "10"}
    own = await start_server(env=limits)
    root = {"authorization": f"Bearer {own.root_token}"}
    plain = {"accept-encoding": "identity"}  # thirty lists that are made and packed at once are a long turn
    async with httpx.AsyncClient(base_url=own.url, headers=plain) as http:

        async def burst(headers: dict[str, str]) -> list[httpx.Response]:
            return await asyncio.gather(*(http.get("/public/services/", headers=headers) for _ in range(30)))

        known = await burst(root)
        strangers = await burst({})
        spoofing = await burst({"x-forwarded-for": "9.9.9.9"})
        forging = await burst({"authorization": "Bearer forged"})
        health = await asyncio.gather(*(http.get("/health/readiness") for _ in range(30)))
    assert {answer.status_code for answer in known} == {200}
    refused = [answer for answer in strangers if answer.status_code == 429]
    assert len(refused) >= 10
    assert int(refused[0].headers["retry-after"]) >= 1
    assert sum(answer.status_code == 429 for answer in spoofing) >= 20
    assert sum(answer.status_code == 429 for answer in forging) >= 20
    assert {answer.status_code for answer in health} == {200}


@pytest.mark.spec("core-H10")
async def test_bound_and_generic_tokens_against_other_workspaces(
    lab: Lab, connect: Connect, alice: Person, bob: Person
) -> None:
    seen: list[dict[str, Any]] = []

    def who(context: Any = None) -> str:
        seen.append(context)
        return str(context["ws"])

    await lab.client.register_service(
        {"id": "who", "config": {"visibility": "public", "require_context": True}, "who": who}
    )
    await lab.client.register_service({"id": "guarded", "f": lambda: 1})
    url, guarded = f"/{lab.workspace}/services/who/who", f"/{lab.workspace}/services/guarded/f"

    async def call(token: str | None, path: str) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = await lab.http.get(path, headers=headers)
        return answer.status_code, answer.json()

    assert await call(None, url) == (200, "ws-anonymous")
    assert await call(bob.token, url) == (200, bob.workspace)
    assert await call(bob.token_for("rw"), url) == (200, bob.workspace)
    assert await call(alice.token, url) == (200, alice.workspace)
    assert [context["user"]["id"] for context in seen[:2]] == ["anonymouz-http", bob.id]
    for token in (None, bob.token, bob.token_for("a")):
        assert (await call(token, guarded))[0] == 403
    assert await call(alice.token, guarded) == (200, 1)
    assert await call(alice.token_for("r"), guarded) == (200, 1)
    await lab.http.post(url, json={"context": {"ws": "forged", "user": {"id": "root"}}})
    assert seen[-1]["ws"] == "ws-anonymous"


@pytest.mark.spec("core-H11")
async def test_a_wrong_content_type_leaves_the_connection_usable(lab: Lab) -> None:
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
    async with httpx.AsyncClient(base_url=lab.http.base_url, limits=limits) as http:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "image/png"):
            answer = await http.post(
                f"{lab.base}/add", content=b"x" * 100_000, headers={"content-type": kind}
            )
            assert answer.status_code == 415
            assert (await http.get(f"{lab.base}/add?a=1&b=2")).json() == 3


@pytest.mark.spec("apps-12.10.4")
async def test_bad_bodies_and_paths_are_refused_without_harm(lab: Lab, server: ServerProcess) -> None:
    bodies = [(b"{", 400), (b"\xff", 400), (b"[" * 50_000, 400)]
    for content, status in bodies:
        answer = await lab.http.post(f"{lab.base}/add", content=content)
        assert answer.status_code == status
        assert answer.json()["detail"].startswith("Invalid request body")
    huge = {"content-type": "application/json", "content-length": str(10**12)}
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = "".join(f"{name}: {value}\r\n" for name, value in huge.items())
    writer.write(f"POST {lab.base}/add HTTP/1.1\r\nhost: x\r\n{head}\r\n".encode())
    assert b" 413 " in await reader.readline()
    writer.close()
    for path in (
        "/static/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2fetc/passwd", "//x", "/static/%00",
        "/x%00y", "/..%2f",
    ):  # fmt: skip
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        text = await reader.read()
        assert b" 404 " in text.split(b"\r\n")[0], path
        assert b"root:" not in text
        writer.close()
    assert (await lab.http.get("/ws")).status_code == 426
    assert (await lab.http.get(f"{lab.base}/add?a=1&b=2")).json() == 3


@pytest.mark.spec("core-O1")
async def test_metrics_hold_every_name_and_count_connections(
    lab: Lab, server: ServerProcess, connect: Connect
) -> None:
    async def value(name: str = "websocket_connections") -> float:
        text = (await lab.http.get("/metrics")).text
        line = next(line for line in text.splitlines() if line.startswith(f"{name} "))
        return float(line.split()[1])

    async def is_one_more() -> bool:
        return await value() == before + 1

    async def are_ten_more() -> bool:
        return await value("client_requests_total") >= connected + 10

    before, requests = await value(), await value("client_requests_total")
    client = await connect()
    await eventually(is_one_more)
    connected = await value("client_requests_total")
    assert connected > requests, "what clients ask is counted"
    for _ in range(10):
        await client.echo("x")
    await eventually(are_ten_more)
    assert await value("client_load_current") > 0
    assert await value("redis_rpc_active_connections") == before + 1
    created = await value("redis_rpc_connections_created_total")
    closed = await value("redis_rpc_connections_closed_total")
    await client.disconnect()

    async def is_back() -> bool:
        return await value() == before

    await eventually(is_back, within_s=10)
    assert await value("redis_rpc_connections_created_total") >= created > 0
    assert await value("redis_rpc_connections_closed_total") > closed


@pytest.mark.spec("core-O2")
async def test_http_calls_leave_no_connection_behind(lab: Lab, root: Person) -> None:
    headers = {"authorization": f"Bearer {root.token}"}

    async def active() -> tuple[int, int]:
        report = (await lab.http.get("/health", headers=headers)).json()
        return report["connections"]["active"], report["connections"]["total_created"]

    before = await active()
    for _ in range(1000):
        assert (await lab.http.get(f"{lab.base}/add?a=1&b=2", headers=headers)).status_code == 200
    assert await active() == before
    assert (await lab.http.get("/health")).json() == {"status": "HEALTHY"}
