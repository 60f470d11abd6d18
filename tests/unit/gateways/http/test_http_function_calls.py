"""Calling functions of services by HTTP."""

from __future__ import annotations

import asyncio
import gzip
from types import SimpleNamespace
from typing import Any

import msgpack
import orjson
import pytest

from hypha.auth.scopes import Level
from hypha.gateways.http import HttpApplication
from tests.unit.gateways.http.fakes import FakeServer, bound, client_of, services_of

BASE = "/ws-user-anna/services/demo"
PACKED = {"content-type": "application/msgpack"}


def add(a: Any, b: Any) -> Any:
    return a + b


def fail(kind: str) -> None:
    raise {"key": KeyError, "perm": PermissionError, "type": TypeError, "run": RuntimeError}[kind]("boom")


@pytest.fixture
def server() -> FakeServer:
    server = FakeServer()
    server.add(add=add, fail=fail, nested={"f": lambda: "deep"}, answer=42, none=lambda: None, ids=[7, 8])
    return server


@pytest.mark.spec("core-H1")
async def test_every_way_of_passing_arguments_gives_the_same_sum(server: FakeServer) -> None:
    async with client_of(server) as http:
        answers = [
            await http.get(f"{BASE}/add?a=1&b=2"),
            await http.post(f"{BASE}/add", json={"a": 1, "b": 2}),
            await http.post(f"{BASE}/add", json=[1, 2]),
            await http.post(f"{BASE}/add", content=b'{"a":1,"b":2}'),
            await http.post(
                f"{BASE}/add", content=gzip.compress(b"[1,2]"), headers={"content-encoding": "gzip"}
            ),
        ]
        packed = await http.post(f"{BASE}/add", content=msgpack.packb({"a": 1, "b": 2}), headers=PACKED)
        accepted = await http.get(f"{BASE}/add?a=1&b=2", headers={"accept": "application/msgpack"})
    assert [(a.status_code, a.json()) for a in answers] == [(200, 3)] * 5
    for answer in (packed, accepted):
        assert answer.headers["content-type"] == "application/msgpack"
        assert msgpack.unpackb(answer.content) == 3


@pytest.mark.spec("core-H5")
async def test_dotted_missing_and_plain_keys(server: FakeServer) -> None:
    async with client_of(server) as http:
        deep = await http.get(f"{BASE}/nested.f")
        group = await http.get(f"{BASE}/nested")
        value = await http.get(f"{BASE}/answer")
        item = await http.get(f"{BASE}/ids.1")
        missing = await http.get(f"{BASE}/nope")
    assert deep.json() == "deep"
    assert group.json()["f"]["type"] == "function"
    assert (value.status_code, value.json()) == (200, 42)
    assert item.json() == 8
    assert (missing.status_code, missing.json()["detail"]) == (404, "nope not found.")


@pytest.mark.spec("core-H2")
async def test_errors_have_a_status_and_hide_where_they_were_raised(server: FakeServer) -> None:
    async with client_of(server) as http:
        answers = {
            kind: await http.get(f"{BASE}/fail?kind={kind}") for kind in ("key", "perm", "type", "run")
        }
    assert {kind: a.status_code for kind, a in answers.items()} == {
        "key": 404,
        "perm": 403,
        "type": 400,
        "run": 500,
    }
    assert all("secret.py" not in a.text and "Traceback" not in a.text for a in answers.values())
    assert answers["run"].json()["detail"] == "RemoteException: RuntimeError: boom"


async def test_a_provider_that_left_is_told_as_such(server: FakeServer) -> None:
    server.change(client_id="gone")
    async with client_of(server) as http:
        answer = await http.get(f"{BASE}/add?a=1&b=1")
    assert answer.status_code == 503
    assert "is not connected" in answer.json()["detail"]


async def test_other_methods_are_refused(server: FakeServer) -> None:
    async with client_of(server) as http:
        for method in ("PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"):
            answer = await http.request(method, f"{BASE}/add")
            assert answer.status_code == 405
            assert "GET" in answer.headers["allow"]


@pytest.mark.spec("core-H11")
async def test_other_content_types_are_refused_and_the_connection_stays_usable(server: FakeServer) -> None:
    async with client_of(server) as http:
        answer = await http.post(f"{BASE}/add", content=b"x", headers={"content-type": "text/plain"})
        again = await http.get(f"{BASE}/add?a=1&b=2")
    assert answer.status_code == 415
    assert answer.json()["hint"]
    assert again.json() == 3


async def test_bodies_are_bounded_before_and_after_decompression(server: FakeServer) -> None:
    bomb = gzip.compress(b'"' + b"a" * 100_000 + b'"')
    async with client_of(server, max_body_bytes=1000) as http:
        plain = await http.post(f"{BASE}/add", content=b"[" + b"1," * 1000 + b"1]")
        zipped = await http.post(f"{BASE}/add", content=bomb, headers={"content-encoding": "gzip"})
        damaged = await http.post(
            f"{BASE}/add", content=gzip.compress(b"[1,2]")[:12], headers={"content-encoding": "gzip"}
        )
        other = await http.post(f"{BASE}/add", content=b"x", headers={"content-encoding": "lzma"})
        broken = await http.post(f"{BASE}/add", content=b"{nope")
    statuses = [answer.status_code for answer in (plain, zipped, damaged, other, broken)]
    assert statuses == [413, 413, 400, 415, 400]
    assert broken.json()["detail"].startswith("Invalid request body: ")


async def test_a_body_sent_in_pieces_is_bounded_too(server: FakeServer) -> None:
    async def pieces() -> Any:
        for _ in range(100):
            yield b"x" * 100

    async with client_of(server, max_body_bytes=1000) as http:
        answer = await http.post(f"{BASE}/add", content=pieces())
    assert answer.status_code == 413


async def test_bytes_in_json_are_text_or_numbers_as_the_caller_asks(server: FakeServer) -> None:
    server.add("raw", data=lambda: {"x": b"\x00"}, fn=lambda: {"_rtype": "method", "_rname": "cb"})
    async with client_of(server) as http:
        answer = await http.get("/ws-user-anna/services/raw/data")
        numbers = await http.get("/ws-user-anna/services/raw/data?_bytes=list")
        refused = await http.get("/ws-user-anna/services/raw/data?_bytes=hex")
        packed = await http.post("/ws-user-anna/services/raw/data", headers=PACKED)
        elsewhere = await http.get("/ws-user-anna/services/raw/data", headers={"origin": "https://page.test"})
        function = await http.get("/ws-user-anna/services/raw/fn")
    assert (answer.json(), answer.headers["x-json-values"]) == ({"x": "AA=="}, "bytes=base64")
    assert (numbers.json(), numbers.headers["x-json-values"]) == ({"x": [0]}, "bytes=list")
    assert (refused.status_code, "list" in refused.json()["detail"]) == (400, True)
    assert "x-json-values" not in packed.headers
    assert "x-json-values" in elsewhere.headers["access-control-expose-headers"].lower().split(", ")
    assert msgpack.unpackb(packed.content) == {"x": b"\x00"}
    assert function.json() == {"type": "function", "function": {"name": "cb", "description": ""}}


@pytest.mark.spec("core-H3")
async def test_generators_answer_as_events_or_as_msgpack_items(server: FakeServer) -> None:
    server.add("gen", count=lambda: {"_rtype": "generator", "_items": [0, {"a": 1}, 2]})
    async with client_of(server) as http:
        events = await http.get("/ws-user-anna/services/gen/count")
        packed = await http.post("/ws-user-anna/services/gen/count", headers=PACKED)
    assert events.headers["content-type"].startswith("text/event-stream")
    assert events.text == 'data: 0\n\ndata: {"a":1}\n\ndata: 2\n\ndata: [DONE]\n\n'
    unpacker = msgpack.Unpacker()
    unpacker.feed(packed.content)
    assert list(unpacker) == [0, {"a": 1}, 2]
    assert server.closed == 2


async def test_an_error_inside_a_generator_ends_the_stream_with_its_text(server: FakeServer) -> None:
    async def bad() -> None:
        from hypha.errors import CallFailed

        raise CallFailed('Traceback (most recent call last):\n  File "/home/x"\nValueError: half way')

    server.add("gen", count=lambda: {"_rtype": "generator", "_items": [1, bad]})
    async with client_of(server) as http:
        answer = await http.get("/ws-user-anna/services/gen/count")
    assert answer.text == 'data: 1\n\ndata: {"error":"ValueError: half way"}\n\ndata: [DONE]\n\n'


async def test_items_arrive_one_by_one_and_a_reader_who_leaves_closes_the_generator(
    server: FakeServer,
) -> None:
    held = asyncio.Event()
    server.add("gen", count=lambda: {"_rtype": "generator", "_items": ["first", held.wait, "last"]})
    sent: list[dict[str, Any]] = []
    leave = asyncio.Event()
    requests = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if requests:
            return requests.pop()
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if message.get("body"):
            leave.set()

    app = HttpApplication(services_of(server))
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/ws-user-anna/services/gen/count",
        "query_string": b"",
        "headers": [],
    }
    async with asyncio.timeout(5):
        await app(scope, receive, send)
    assert [m["body"] for m in sent if m.get("body")] == [b'data: "first"\n\n', b"data: [DONE]\n\n"]
    assert server.closed == 1


@pytest.mark.spec("core-H4")
async def test_credentials_come_in_four_ways_and_a_bad_one_is_refused(server: FakeServer) -> None:
    import base64

    basic = base64.b64encode(b"user:anna").decode()
    ways = [
        {"authorization": "Bearer anna"},
        {"authorization": f"Basic {basic}"},
        {"authorization": "anna"},
        {"cookie": "a=b; access_token=anna"},
        {"cookie": "access_token=anna", "sec-fetch-site": "same-origin"},
        {"cookie": "access_token=anna", "origin": "http://hub.test"},
    ]
    async with client_of(server) as http:
        for way in ways:
            answer = await http.get("/ws-user-anna/services/ws/echo?data=1", headers=way)
            assert answer.json() == {"data": 1, "workspace": "ws-user-anna", "user": "anna"}, way
        for bad in (
            {"authorization": "Bearer x"},
            {"cookie": "access_token=x"},
            {"authorization": "Basic ?"},
        ):
            answer = await http.get(f"{BASE}/add?a=1&b=2", headers=bad)
            assert answer.status_code == 401
            assert answer.json()["success"] is False
        expired = await http.get(f"{BASE}/add?a=1&b=2", headers={"authorization": "Bearer expired"})
        assert expired.json()["code"] == "token_expired"
        ignored = await http.get(f"{BASE}/add?a=1&b=2&token=x")
        assert ignored.status_code in (200, 400)


async def test_a_cookie_of_another_sites_request_is_no_credential(server: FakeServer) -> None:
    foreign = [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.test"},
        {"referer": "http://evil.test/page"},
        {"origin": "null"},
    ]
    async with client_of(server) as http:
        for headers in foreign:
            headers = {**headers, "cookie": "access_token=anna"}
            answer = await http.get("/ws-user-anna/services/ws/echo?data=1", headers=headers)
            assert answer.json()["user"] == "anonymouz-http", headers


@pytest.mark.spec("core-H10")
async def test_where_a_caller_acts_depends_on_its_token(server: FakeServer) -> None:
    server.change(visibility="protected")
    server.users["child"] = bound("child", "ws-other", Level.READ)
    url = "/ws-user-anna/services/ws/echo?data=1"

    async def acts_in(http: Any, token: str | None) -> Any:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        where = (await http.get(url, headers=headers)).json()["workspace"]
        return where, (await http.get(f"{BASE}/add?a=1&b=1", headers=headers)).status_code

    async with client_of(server) as http:
        assert await acts_in(http, None) == ("ws-anonymous", 403)
        assert await acts_in(http, "anna") == ("ws-user-anna", 200)
        assert await acts_in(http, "bert") == ("ws-user-bert", 403)
        assert await acts_in(http, "child") == ("ws-other", 403)
        assert await acts_in(http, "root") == ("ws-user-anna", 200)


async def test_a_token_for_one_purpose_is_refused(server: FakeServer) -> None:
    from hypha.auth.scopes import Scope
    from hypha.auth.users import User

    server.users["special"] = User("s", scope=Scope({}, None, None, ("file:download",)))
    async with client_of(server) as http:
        answer = await http.get(f"{BASE}/add?a=1&b=1", headers={"authorization": "Bearer special"})
    assert answer.status_code == 403
    assert "Specialized token" in answer.json()["detail"]


async def test_missing_services_and_workspaces_are_told_apart(server: FakeServer) -> None:
    async with client_of(server) as http:
        service = await http.get("/ws-user-anna/services/nope/f")
        workspace = await http.get("/ws-nowhere/services/nope/f")
        malformed = await http.get("/ws-user-anna/services/a:b:c/f")
    assert "Service not found: ws-user-anna/*:nope@*" in service.json()["detail"]
    assert workspace.json()["detail"] == "Workspace 'ws-nowhere' not found"
    assert (service.status_code, workspace.status_code, malformed.status_code) == (404, 404, 400)


async def test_parameters_with_the_names_of_path_parts_reach_the_function(server: FakeServer) -> None:
    server.add("tell", f=lambda workspace, service_id: [workspace, service_id])
    async with client_of(server) as http:
        got = await http.get("/ws-user-anna/services/tell/f?workspace=w&service_id=s")
        posted = await http.post("/ws-user-anna/services/tell/f", json={"workspace": "w", "service_id": "s"})
    assert got.json() == posted.json() == ["w", "s"]


async def test_the_mode_of_selection_is_taken_from_the_query(server: FakeServer) -> None:
    server.add("twin", f=lambda: "first")
    server.add("twin", client="other", f=lambda: "second")
    async with client_of(server) as http:
        await http.get("/ws-user-anna/services/twin/f?_mode=last")
    target, _, args, kwargs, _ = server.calls[-1]
    assert (target, args, kwargs) == ("ws-user-anna/other", [], {})


async def test_an_unexpected_fault_is_logged_and_told_by_its_id_only(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with client_of(server) as http:
        answer = await http.get("/public/services/ws/broken", headers={"x-request-id": "abc-1"})
    body = answer.json()
    assert answer.status_code == 500
    assert body["request_id"] == "abc-1"
    assert body["code"] == "server_fault"
    assert "secret" not in answer.text
    assert "abc-1" in caplog.text
    assert "cannot open" in caplog.text


async def test_wrong_arguments_for_the_manager_are_refused(server: FakeServer) -> None:
    async with client_of(server) as http:
        answer = await http.post("/public/services/ws/echo", json={"nope": 1})
        missing = await http.get("/public/services/~/nope")
    assert answer.status_code == 400
    assert (missing.status_code, missing.json()["detail"]) == (404, "nope not found.")


async def test_the_context_of_a_call_comes_from_the_server(server: FakeServer) -> None:
    async with client_of(server) as http:
        await http.post(f"{BASE}/none", json={}, headers={"authorization": "Bearer anna"})
        await http.post(f"{BASE}/none", json={}, headers={"authorization": "Bearer anna"})
    first, second = (call[4] for call in server.calls[-2:])
    assert first is second
    assert (first.user.id, first.workspace, first.connection_type) == ("anna", "ws-user-anna", "http")
    assert orjson.dumps(first.user.to_wire())


async def test_a_users_own_workspace_exists_for_its_first_call(server: FakeServer) -> None:
    from tests.unit.gateways.http.fakes import generic

    server.users["new"] = generic("new")
    async with client_of(server) as http:
        answer = await http.get("/public/services/ws/echo?data=1", headers={"authorization": "Bearer new"})
    assert answer.json()["workspace"] == "ws-user-new"
    assert "ws-user-new" in server.workspaces


async def test_text_in_queries_may_be_of_any_language(server: FakeServer) -> None:
    async with client_of(server) as http:
        answer = await http.get(f"{BASE}/add", params={"a": "grün", "b": "森"})
    assert answer.json() == "grün森"


async def test_who_may_not_use_a_service_is_noted_once_and_who_asks_the_manager_is_not(
    server: FakeServer,
) -> None:
    noted: list[tuple[Any, ...]] = []
    audit: Any = SimpleNamespace(note=lambda *told, **more: noted.append((*told, more["detail"]["function"])))
    server.add("private", visibility="protected", add=add)
    async with client_of(server, audit=audit) as http:
        refused = await http.get("/ws-user-anna/services/provider:private/add?a=1&b=2")
        await http.get("/ws-user-anna/services/ws/get_workspace_info?workspace=ws-user-anna")
    assert refused.status_code == 403
    assert noted == [("access_refused", "anonymouz-http", "ws-user-anna", "provider:private.add")]


@pytest.mark.parametrize(
    "body",
    [
        rb'{"a": {"_rtype": "method", "_rtarget": "*/m"}, "b": 1}',
        rb'{"a": {"\u005frtype": "method", "_\u0072target": "*/m"}, "b": 1}',
        b'{"a": ' + b"[" * 130 + b"]" * 130 + b', "b": 1}',
    ],
)
async def test_no_spelling_brings_functions_or_deep_values_in(server: FakeServer, body: bytes) -> None:
    async with client_of(server) as http:
        answer = await http.post(f"{BASE}/add", content=body)
    assert answer.status_code == 400
    assert "functions" in answer.text or "nested" in answer.text
