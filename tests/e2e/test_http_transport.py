"""The HTTP streaming transport (docs/spec/wire-protocol.md#http-streams)."""

from __future__ import annotations

import asyncio
import json
import struct
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio

from hypha.settings import Settings
from hypha.testing import FaultProxy, NodeWorker, RawClient, ServerProcess, eventually
from hypha.testing.rawclient import Frame, pack, unpack
from hypha.testing.tokens import mint_token
from tests.e2e.lab import Lab
from tests.kit.clients import Connect, ConnectRaw, NewWorker, StartServer
from tests.kit.people import Person, make_person


class Stream:
    """An open `GET /rpc`, read by hand."""

    def __init__(
        self, client: httpx.AsyncClient, response: httpx.Response, url: str, params: dict[str, str]
    ) -> None:
        self.client, self.response, self.url, self.params = client, response, url, params
        self._bytes = response.aiter_raw()
        self._buffer = b""
        self.info: dict[str, Any] = {}

    async def record(self, timeout_s: float = 5.0) -> bytes:
        """The next length-prefixed record."""
        async with asyncio.timeout(timeout_s):
            while len(self._buffer) < 4 or len(self._buffer) < 4 + struct.unpack(">I", self._buffer[:4])[0]:
                self._buffer += await anext(self._bytes)
        size = struct.unpack(">I", self._buffer[:4])[0]
        record, self._buffer = self._buffer[4 : 4 + size], self._buffer[4 + size :]
        return record

    async def frame(self, timeout_s: float = 5.0) -> Frame:
        """The next frame or control record."""
        return unpack(await self.record(timeout_s))

    async def post(self, *parts: Any, **options: Any) -> httpx.Response:
        """Send a frame."""
        options.setdefault("params", self.params)
        return await self.client.post(self.url, content=pack(*parts), **options)

    async def call(self, method: str, *args: Any, timeout_s: float = 5.0) -> Any:
        """Call the manager and wait for the answer."""
        session = uuid.uuid4().hex
        target = f"*/{self.info['manager_id']}"
        main = {"type": "method", "to": target, "method": f"services.default.{method}", "session": session}
        answer = await self.post(main, {"args": list(args), "promise": "*", "t": 5.0})
        assert answer.status_code == 200, answer.text
        while True:
            frame = await self.frame(timeout_s)
            if frame.method in (f"{session}.resolve", f"{session}.reject"):
                value = frame.extra["args"][0]
                if frame.method.endswith("reject"):
                    raise RuntimeError(value["_rvalue"])
                return value

    async def answer(self, call: Frame, value: Any) -> None:
        """Answer a call that came over the stream."""
        main = {"type": "method", "to": call.main["from"], "method": f"{call.main['session']}.resolve"}
        posted = await self.post(main, {"args": [value]})
        assert posted.status_code == 200, posted.text


@asynccontextmanager
async def open_stream(
    server: ServerProcess | FaultProxy,
    token: str | None = None,
    client: httpx.AsyncClient | None = None,
    **params: str,
) -> AsyncIterator[Stream]:
    """Open a stream and read its `connection_info`."""
    params.setdefault("client_id", f"http-{uuid.uuid4().hex[:10]}")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    own = client or httpx.AsyncClient(headers=headers, timeout=30)
    try:
        async with own.stream("GET", f"{server.url}/rpc", params=params) as response:
            stream = Stream(own, response, f"{server.url}/rpc", {**params})
            if response.status_code == 200:
                stream.info = unpack(await stream.record()).main
                stream.params = {"client_id": params["client_id"], "workspace": stream.info["workspace"]}
            yield stream
    finally:
        if client is None:
            await own.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def http_lab(module_connect: Connect, server: ServerProcess) -> Lab:
    """Provider over HTTP, consumer over HTTP, stranger over WebSocket."""
    owner = make_person(server, "http")
    clients = [
        await module_connect(owner, client_id="provider", transport="http"),
        await module_connect(owner, client_id="consumer", transport="http"),
        await module_connect(make_person(server, "stranger"), client_id="stranger"),
    ]
    lab = Lab(*clients)
    await lab.register()
    return lab


@pytest.mark.spec("wire-47")
async def test_calls_over_http_streams(http_lab: Lab) -> None:
    for service in (http_lab.service, http_lab.public_service):
        assert await service.add(1, b=2) == 3
        assert await service.nested.deep.add(2, 3) == 5
        assert await service.call_back(lambda value: value * 2, [1, 2]) == [2, 4]
        assert [number async for number in await service.async_numbers(3)] == [0, 1, 2]
        assert [number async for number in await service.numbers(3)] == [0, 1, 2]
        with pytest.raises(Exception, match=r"the battery is empty"):
            await service.fail("the battery is empty")


@pytest.mark.spec("wire-47")
async def test_context_over_http_names_the_caller(http_lab: Lab) -> None:
    seen = await http_lab.service.whoami()
    assert seen["from"] == f"{http_lab.workspace}/consumer"
    assert (seen["ws"], seen["user"]) == (http_lab.workspace, http_lab.consumer.config.user["id"])
    seen = await http_lab.public_service.whoami()
    assert seen["user"] == http_lab.stranger.config.user["id"]


@pytest.mark.spec("wire-47")
async def test_values_over_http_streams(http_lab: Lab) -> None:
    array = np.arange(12, dtype="float32").reshape(3, 4)
    for service in (http_lab.service, http_lab.public_service):
        for value in (
            None,
            True,
            -(2**63),
            2**64 - 1,
            1.5,
            "naïve 🦉",
            b"\x00\xff",
            [1, {"a": None}],
            {1, 2},
        ):
            assert await service.echo(value) == value
        assert np.array_equal(await service.echo(array), array)


@pytest.mark.spec("wire-47")
@pytest.mark.parametrize("size", [1024, 256 * 1024, 262144 + 1025, 1024 * 1024, 8 * 1024 * 1024])
async def test_large_messages_over_http_streams(http_lab: Lab, size: int) -> None:
    data = b"h" * size
    for service in (http_lab.service, http_lab.public_service):
        assert await service.echo(data) == data
    assert await http_lab.consumer.echo(data) == data


@pytest.mark.spec("wire-47")
async def test_websocket_provider_with_http_caller(
    http_lab: Lab, connect: Connect, server: ServerProcess
) -> None:
    await http_lab.stranger.register_service(
        {"id": "ws-svc", "config": {"visibility": "public"}, "echo": lambda value: value}, {"overwrite": True}
    )
    service = await http_lab.consumer.get_service(f"{http_lab.stranger.config.workspace}/ws-svc")
    answers = await asyncio.gather(*(service.echo(number) for number in range(50)))
    assert answers == list(range(50))


@pytest.mark.spec("wire-47")
async def test_anonymous_http_clients_have_users_of_their_own(connect: Connect) -> None:
    one, two = await connect(transport="http"), await connect(transport="http")
    assert one.config.workspace != two.config.workspace
    assert one.config.user["id"] != two.config.user["id"] and one.config.user["is_anonymous"]


@pytest.mark.node
@pytest.mark.spec("wire-47")
async def test_javascript_over_http_calls_and_is_called(
    node: NodeWorker, server: ServerProcess, connect: Connect, alice: Person
) -> None:
    provider = await connect(alice, client_id="py")
    await provider.register_service({"id": "svc", "echo": lambda value: value, "add": lambda a, b: a + b})
    seen = await node.run(
        """
        const config = {server_url: args.url, token: args.token, transport: "http", client_id: "js-http"};
        state.http = await connect(config);
        await state.http.registerService({id: "js-svc", echo: (v) => v, numbers: async function* (n) {
          for (let i = 0; i < n; i++) yield i; }});
        const svc = await state.http.getService("py:svc");
        const big = await svc.echo(new Uint8Array(1000000).fill(3));
        return [await svc.add(1, 2), big.length, await svc.echo({a: [1, null]})];
        """,
        url=server.url,
        token=alice.token,
    )
    assert seen == [3, 1_000_000, {"a": [1, None]}]
    service = await provider.get_service("js-http:js-svc")
    assert await service.echo("to js") == "to js"
    assert len(await service.echo(b"x" * 1_000_000)) == 1_000_000
    assert [n async for n in await service.numbers(3)] == [0, 1, 2]
    await node.run("await state.http.disconnect();")


@pytest.mark.spec("wire-47")
async def test_stream_answers_with_the_documented_headers(server: ServerProcess, alice: Person) -> None:
    async with open_stream(server, alice.token) as stream:
        headers = stream.response.headers
        assert headers["content-type"] == "application/x-msgpack-stream"
        assert headers["cache-control"] == "no-cache"
        assert headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in headers
        info = stream.info
        assert info["type"] == "connection_info" and info["workspace"] == alice.workspace
        keys = {"hypha_version", "public_base_url", "local_base_url", "manager_id", "client_id", "user"}
        assert keys <= set(info) and info["reconnection_token"].count(".") == 2
        assert await stream.call("echo", "raw") == "raw"


@pytest.mark.spec("wire-47")
async def test_control_bodies_are_answered_over_the_stream(server: ServerProcess, alice: Person) -> None:
    async with open_stream(server, alice.token) as stream:
        assert (await stream.post({"type": "ping"})).status_code == 200
        assert (await stream.frame()).main == {"type": "pong"}
        assert (await stream.post({"type": "refresh_token"})).status_code == 200
        answer = (await stream.frame()).main
        assert answer["type"] == "reconnection_token" and answer["reconnection_token"].count(".") == 2


@pytest.mark.spec("wire-47")
async def test_refusals_have_the_documented_status(
    server: ServerProcess, connect: Connect, alice: Person, bob: Person
) -> None:
    await connect(alice)
    async with open_stream(server, "junk") as stream:
        assert stream.response.status_code == 401
        assert b"detail" in await stream.response.aread()
    async with open_stream(server, bob.token, workspace=alice.workspace) as stream:
        assert stream.response.status_code == 403
        body = await stream.response.aread()
        assert json.loads(body)["success"] is False
        assert json.loads(body)["detail"] == f"Permission denied for workspace {alice.workspace}"
    async with open_stream(server, bob.token, reconnection_token="junk") as stream:
        assert stream.response.status_code == 401
        assert b"Invalid reconnection token" in await stream.response.aread()
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{server.url}/rpc", headers={"X-Request-ID": "mine"})
        expected = {"success": False, "detail": "client_id is required", "code": "invalid_request"}
        assert (answer.status_code, answer.json()) == (400, {**expected, "request_id": "mine"})
        answer = await client.put(f"{server.url}/rpc")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


@pytest.mark.spec("wire-47")
async def test_empty_post_is_400(server: ServerProcess, alice: Person) -> None:
    async with open_stream(server, alice.token) as stream:
        answer = await stream.client.post(stream.url, params=stream.params, content=b"")
        assert answer.status_code == 400
        assert (answer.json()["detail"], answer.json()["code"]) == ("Empty request body", "invalid_request")


@pytest.mark.spec("wire-47")
async def test_post_without_a_stream_is_400(server: ServerProcess, alice: Person) -> None:
    headers = {"Authorization": f"Bearer {alice.token}"}
    async with httpx.AsyncClient(headers=headers) as client:
        params = {"client_id": "nobody", "workspace": alice.workspace}
        answer = await client.post(f"{server.url}/rpc", params=params, content=pack({"type": "ping"}))
        assert answer.status_code == 400
        assert (await client.post(f"{server.url}/rpc", content=b"x")).status_code == 400
        assert (await client.post(f"{server.url}/rpc", params=params, content=b"")).status_code == 400


@pytest.mark.spec("wire-48", "wire-16.5", "core-11.1.1")
async def test_post_is_bound_to_the_streams_user(server: ServerProcess, alice: Person, bob: Person) -> None:
    async with open_stream(server, alice.token) as stream:
        manager = f"*/{stream.info['manager_id']}"
        main = {"type": "method", "to": manager, "method": "services.default.set_env", "session": "s"}
        body = {"args": ["HACKED", "1"], "promise": "*", "t": 5.0}
        for headers in ({}, {"Authorization": f"Bearer {bob.token}"}, {"Authorization": "Bearer junk"}):
            async with httpx.AsyncClient(headers=headers) as other:
                answer = await other.post(stream.url, params=stream.params, content=pack(main, body))
                assert answer.status_code in (401, 403)
        assert await stream.call("get_env") == {}


@pytest.mark.spec("wire-48", "wire-16.5", "core-11.1.1")
async def test_post_needs_a_token_that_gives_what_the_streams_token_gives(
    server: ServerProcess, alice: Person
) -> None:
    """A program that got a token of this person for one workspace, say by `login`, is not the person."""

    def lesser(**fields: Any) -> str:
        return mint_token(alice.secret, alice.id, **fields)

    own = alice.workspace
    async with open_stream(server, alice.token) as stream:
        main = {"type": "method", "to": f"*/{stream.info['manager_id']}", "session": "s"}
        call = pack({**main, "method": "services.default.set_env"}, {"args": ["HACKED", "1"], "t": 5.0})
        for token in (
            lesser(workspaces={"team-1": "a"}, current="team-1"),
            lesser(workspaces={own: "a"}, current=own),
            lesser(workspaces={own: "r"}),
            lesser(client_id="another"),
            lesser(extra_scopes=["files:read"]),
        ):
            async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as other:
                answer = await other.post(stream.url, params=stream.params, content=call)
                assert answer.status_code == 403, token
        again = {"Authorization": f"Bearer {lesser()}"}  # a fresh sign-in of the same person
        async with httpx.AsyncClient(headers=again) as same:
            answer = await same.post(stream.url, params=stream.params, content=pack({"type": "ping"}))
            assert answer.status_code == 200
        assert await stream.call("get_env") == {}


PING = pack({"type": "ping"})
OTHERS = (
    {"X-Forwarded-For": "192.0.2.1"},
    {"Forwarded": "for=192.0.2.1"},
    {"Via": "1.1 proxy"},
    {"X-Real-IP": "192.0.2.1"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Mode": "cors"},
)
"""Marks of a proxy or of a browser, whose address others share."""


@pytest.mark.spec("wire-48", "wire-16.5", "core-11.1.1")
async def test_post_to_an_anonymous_stream_needs_its_secret(server: ServerProcess) -> None:
    async with open_stream(server) as stream, httpx.AsyncClient() as other:
        assert await stream.call("echo", 1) == 1, "the cookie came back"
        (cookie,) = dict(stream.client.cookies).items()
        secret = stream.response.headers["x-hypha-stream"]

        async def posted(**headers: str) -> int:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return (
                await other.post(stream.url, params=stream.params, content=PING, headers=named)
            ).status_code

        assert await posted() == 200, "this machine's address does, and nobody shares it"
        for marks in OTHERS:
            assert await posted(**marks) == 401, marks
        assert await posted(cookie=f"{cookie[0]}=forged") == 401
        assert await posted(cookie=f"{cookie[0]}=forged; {cookie[0]}={cookie[1]}") == 401
        assert await posted(x_hypha_stream="forged") == 401
        assert await posted(cookie="=".join(cookie), via="1.1 proxy") == 200
        assert await posted(x_hypha_stream=secret, via="1.1 proxy", origin="https://lab.example") == 200
        for elsewhere in ({"origin": "https://evil.example"}, {"sec_fetch_site": "same-site"}):
            assert await posted(cookie="=".join(cookie), **elsewhere) == 401, "a page made the browser add it"
        assert await posted(cookie="=".join(cookie), origin=server.url) == 200
        async with open_stream(server) as another:
            assert another.response.headers["x-hypha-stream"] != secret
            assert await posted(x_hypha_stream=another.response.headers["x-hypha-stream"]) == 401


@pytest.mark.spec("wire-48", "wire-16.5")
@pytest.mark.parametrize(
    ("flags", "does"),
    [
        (["--streams-by-address=off"], False),
        (["--host=0.0.0.0"], False),
        (["--host=0.0.0.0", "--streams-by-address=on"], True),
    ],
)
async def test_the_address_of_an_anonymous_stream_does_only_where_the_operator_lets_it(
    start_server: StartServer, flags: list[str], does: bool
) -> None:
    own = await start_server(flags=flags)
    async with open_stream(own) as stream, httpx.AsyncClient() as other:
        plain = await other.post(stream.url, params=stream.params, content=PING)
        assert (plain.status_code == 200) is does
        for marks in OTHERS:
            shared = await other.post(stream.url, params=stream.params, content=PING, headers=marks)
            assert shared.status_code == 401
        assert await stream.call("echo", 1) == 1
    async with (
        httpx.AsyncClient(headers={"Via": "1.1 proxy"}) as behind,
        open_stream(own, client=behind) as stream,
    ):
        behind.headers.pop("via")
        behind.cookies.clear()
        assert (await stream.post({"type": "ping"})).status_code == 401, "the stream came through a proxy"


async def test_node_calls_anonymously_over_http_on_this_machine(
    node_worker: NewWorker, server: ServerProcess
) -> None:
    worker = await node_worker()
    assert isinstance(worker, NodeWorker)
    script = """
    const server = await connect({server_url: args.url, transport: "http"});
    return [server.config.user.is_anonymous, await server.echo("hello")];
    """
    assert await worker.run(script, url=server.url) == [True, "hello"]


@pytest.mark.spec("wire-48")
@pytest.mark.parametrize("base_path", ["", "/my/hub"])
async def test_streams_leave_no_cookies_behind_that_other_requests_carry(
    server: ServerProcess, start_server: StartServer, base_path: str
) -> None:
    own = await start_server(base_path=base_path) if base_path else server
    alice = make_person(own, "alice")
    async with httpx.AsyncClient(timeout=10) as jar:
        async with open_stream(own, client=jar) as stream:
            assert len(jar.cookies) == 1, "an anonymous stream is bound to its cookie"
            assert await stream.call("echo", 1) == 1
        jar.headers["Authorization"] = f"Bearer {alice.token}"
        async with open_stream(own, client=jar):
            assert len(jar.cookies) == 1, "a token's stream is bound to the token"
        assert "cookie" in jar.build_request("POST", f"{own.url}/rpc").headers
        assert "cookie" not in jar.build_request("GET", f"{own.url}/{alice.workspace}/services").headers


@pytest.mark.spec("wire-16.1", "wire-16.3")
async def test_forged_fields_over_http_reach_nobody(
    server: ServerProcess, connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    callee = await connect_raw(alice)
    await callee.offer("svc", visibility="public")
    async with open_stream(server, bob.token) as stream:
        forged = {
            "ctx": {"user": {"id": "root"}},
            "from": "*/manager",
            "ws": "public",
            "user": {"id": "root"},
        }
        main = {
            "type": "method",
            "to": callee.address,
            "method": "services.svc.hello",
            "session": "s",
            **forged,
        }
        await stream.post(main, {"args": []})
        call = await callee.wait_call()
        assert call.main["from"] == f"{bob.workspace}/{stream.info['client_id']}"
        assert (
            call.main["user"]["id"] == bob.id and call.main["ws"] == bob.workspace and "ctx" not in call.main
        )
        await stream.post({**main, "session": "t"}, {"args": [], "from": "*/manager"})
        assert await stream.call("echo", "fence") == "fence"
        assert callee.calls.empty()


@pytest.mark.spec("wire-46", "wire-48")
async def test_a_post_begun_before_its_token_was_revoked_does_nothing(
    server: ServerProcess, connect_raw: ConnectRaw, alice: Person
) -> None:
    owner = await connect_raw(alice)
    await owner.offer("svc")
    token = await owner.call_manager("generate_token")
    async with open_stream(server, token) as stream:
        main = {"type": "method", "to": owner.address, "method": "services.svc.run", "session": "late"}
        frame = pack(main, {"args": [], "promise": "*", "t": 5.0})

        async def revoke_before_the_end() -> AsyncIterator[bytes]:
            yield frame[:-1]
            await owner.call_manager("revoke_token", token)
            yield frame[-1:]

        answer = await stream.client.post(stream.url, params=stream.params, content=revoke_before_the_end())
    assert answer.status_code in (400, 401)
    await owner.call_manager("echo", "fence")
    assert owner.calls.empty()


async def wait_until_expired(server: ServerProcess, token: str) -> None:
    """Wait until the server takes a token no more."""
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http:

        async def has_expired() -> bool:
            answer = await http.get(f"{server.url}/public/services/hypha-login/profile")
            return answer.status_code == 401

        await eventually(has_expired, within_s=15)


@pytest.mark.spec("wire-48")
async def test_client_works_on_over_http_when_its_token_has_expired(
    connect: Connect, server: ServerProcess, alice: Person
) -> None:
    caller = await connect(alice)
    token = await caller.generate_token({"permission": "read_write", "expires_in": 5})
    async with FaultProxy(server.url) as proxy:
        where = {"url": proxy.url, "transport": "http", "client_id": "provider"}
        provider = await connect(alice.with_token(token), **where)
        await provider.register_service({"id": "svc", "echo": lambda value: value})
        await wait_until_expired(server, token)
        service = await caller.get_service("provider:svc")
        assert await service.echo("to the provider") == "to the provider"
        assert await provider.echo("from the provider") == "from the provider"
        proxy.cut_all()
        is_back = f"{alice.workspace}/provider is back after"
        await eventually(lambda: is_back in server.log, within_s=15)
        assert await service.echo("after a cut") == "after a cut"
        assert await provider.echo("after a cut, too") == "after a cut, too"
        await provider.disconnect()


@pytest.mark.spec("wire-48", "wire-16.5")
async def test_expired_token_counts_only_for_the_stream_that_it_opened_and_until_it_is_revoked(
    server: ServerProcess, connect_raw: ConnectRaw, alice: Person
) -> None:
    owner = await connect_raw(alice)
    life = {"permission": "read_write", "expires_in": 2, "name": "for two seconds"}
    token = await owner.call_manager("generate_token", life)
    ping = pack({"type": "ping"})
    async with open_stream(server, token) as stream:
        user_id = stream.info["user"]["id"]
        twin = mint_token(alice.secret, user_id, workspaces={alice.workspace: "rw"}, life_s=-5)
        await wait_until_expired(server, token)
        assert await stream.call("echo", 1) == 1
        head, _, signature = token.rpartition(".")
        for other in (twin, f"{head}.{signature[::-1]}", f"{head}."):
            async with httpx.AsyncClient(headers={"Authorization": f"Bearer {other}"}) as client:
                answer = await client.post(stream.url, params=stream.params, content=ping)
                assert answer.status_code == 401
        async with open_stream(server, alice.token) as hers:
            answer = await stream.post({"type": "ping"}, params=hers.params)
            assert answer.status_code == 401
        (shown,) = [each for each in await owner.call_manager("list_tokens") if each["name"] == life["name"]]
        await owner.call_manager("revoke_token", shown["id"])
        assert (await stream.post({"type": "ping"})).status_code == 401
        with pytest.raises((StopAsyncIteration, httpx.HTTPError)):
            for _ in range(100):
                await stream.record()


async def wait_until_held(server: ServerProcess) -> None:
    """Wait until the server, of which nobody else is a client, knows that a stream is gone."""
    async with httpx.AsyncClient() as http:

        async def is_held() -> bool:
            return "hypha_hub_clients_held 1.0\n" in (await http.get(f"{server.url}/metrics")).text

        await eventually(is_held, within_s=5)


SHORT_HOLD = {"HYPHA_HOLD_TIME": "1", "HYPHA_STREAM_PING_INTERVAL": "60"}


@pytest.mark.spec("wire-48")
async def test_closed_stream_is_noticed_at_once(start_server: StartServer, connect_raw: ConnectRaw) -> None:
    own = await start_server(env=SHORT_HOLD)
    alice = make_person(own, "alice")
    watcher = await connect_raw(alice, url=own.ws_url)
    async with open_stream(own, alice.token, client_id="fleeting") as stream:
        assert await stream.call("echo", 1) == 1
    await wait_until_held(own)
    with pytest.raises(Exception, match=r"^NotDelivered: "):
        await watcher.call(f"{alice.workspace}/fleeting", "services.svc.hello", timeout_s=14)


@pytest.mark.spec("wire-48")
async def test_call_on_its_way_in_a_stream_that_breaks_has_an_unknown_outcome(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    own = await start_server(env=SHORT_HOLD)
    alice = make_person(own, "alice")
    watcher = await connect_raw(alice, url=own.ws_url)
    async with FaultProxy(own.url) as proxy, open_stream(proxy, alice.token, client_id="fleeting") as stream:
        assert await stream.call("echo", 1) == 1
        for link in proxy.links:
            link.lose()
        session = await watcher.start_call(f"{alice.workspace}/fleeting", "services.svc.hello")
        assert await watcher.call_manager("echo", "fence") == "fence"
        proxy.cut_all()
        await wait_until_held(own)
        with pytest.raises(Exception, match=r"^OutcomeUnknown: "):
            await watcher.answer_of(session, timeout_s=14)


@pytest.mark.spec("wire-48", "core-1.9")
async def test_a_server_that_stops_takes_the_answers_it_waits_for_and_nothing_else(
    start_server: StartServer,
) -> None:
    own = await start_server(flags=["--host=127.0.0.1"])  # under our own web server, always
    alice = make_person(own, "alice")
    headers = {"Authorization": f"Bearer {alice.token}"}
    called = f"{own.url}/{alice.workspace}/services/provider:svc/hello"
    async with open_stream(own, alice.token, client_id="provider") as stream:
        config = {"id": f"{alice.workspace}/provider:svc", "name": "svc", "type": "generic", "config": {}}
        await stream.call("register_service", config)
        async with httpx.AsyncClient(headers=headers, timeout=15) as caller:
            answer = asyncio.ensure_future(caller.get(called))
            hello = {"_rtype": "method", "_rtarget": f"{alice.workspace}/provider"}
            method = {**hello, "_rmethod": "services.svc.hello", "_rpromise": "*", "_rname": "hello"}
            await stream.answer(await stream.frame(), {**config, "hello": method})
            call = await stream.frame()
            assert call.method == "services.svc.hello"
            ended = asyncio.ensure_future(asyncio.to_thread(own.stop, 12.0))
            await eventually(lambda: not own.is_ready(), within_s=5)
            async with httpx.AsyncClient(headers=headers) as late:
                for url in (called, f"{own.url}/rpc?client_id=late"):
                    refused = await late.get(url)
                    assert (refused.status_code, refused.json()["code"]) == (503, "not_delivered")
            with pytest.raises(Exception, match="503"):
                await RawClient.connect(own.ws_url, token=alice.token)
            async with httpx.AsyncClient(headers=headers) as stream.client:
                await stream.answer(call, "done")
            assert (await answer).json() == "done"
    assert await ended == 0


@pytest.mark.spec("wire-48")
async def test_cut_stream_reconnects_with_its_services(
    connect: Connect, server: ServerProcess, alice: Person
) -> None:
    async with FaultProxy(server.url) as proxy:
        provider = await connect(alice, url=proxy.url, transport="http", client_id="provider")
        await provider.register_service({"id": "svc", "hello": lambda: "hello"})
        caller = await connect(alice)
        service = await caller.get_service("svc")
        accepted = proxy.accepted
        proxy.cut_all()
        await eventually(lambda: proxy.accepted > accepted, within_s=10)

        async def answers() -> bool:
            return bool(await service.hello() == "hello")

        await eventually(answers, within_s=15, interval_s=0.3)
        await provider.disconnect()


@pytest.mark.spec("wire-48")
async def test_calls_made_while_the_stream_is_cut_are_answered_on_the_next(
    connect: Connect, server: ServerProcess, alice: Person
) -> None:
    provider = await connect(alice, client_id="provider")
    await provider.register_service({"id": "svc", "echo": lambda value: value})
    async with FaultProxy(server.url) as proxy:
        caller = await connect(alice, url=proxy.url, transport="http")
        service = await caller.get_service("svc")
        proxy.cut_all()
        assert await asyncio.gather(*(service.echo(number) for number in range(5))) == [0, 1, 2, 3, 4]
        await caller.disconnect()


@pytest.mark.spec("wire-48", "wire-16.5")
async def test_posts_for_a_cut_stream_are_bound_to_its_user_as_before(
    server: ServerProcess, alice: Person, bob: Person
) -> None:
    async with open_stream(server, alice.token, client_id="cut") as stream:
        assert await stream.call("echo", 1) == 1
    ping = pack({"type": "ping"})
    for token, expected in ((alice.token, {200}), (bob.token, {403}), (None, {401})):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(headers=headers) as client:
            answer = await client.post(stream.url, params=stream.params, content=ping)
            assert answer.status_code in expected


@pytest.mark.spec("wire-48")
async def test_second_stream_with_the_token_supersedes_the_first(
    server: ServerProcess, alice: Person
) -> None:
    async with open_stream(server, alice.token, client_id="twice") as first:
        token = first.info["reconnection_token"]
        async with open_stream(server, alice.token, client_id="twice", reconnection_token=token) as second:
            assert second.info["workspace"] == alice.workspace
            with pytest.raises((StopAsyncIteration, httpx.HTTPError)):
                for _ in range(100):
                    await first.record()
            assert await second.call("echo", 1) == 1


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.spec("wire-48")
async def test_streams_stay_open_for_five_idle_minutes(
    start_server: StartServer, python_worker: NewWorker, node_worker: NewWorker
) -> None:
    own = await start_server()
    person = make_person(own)
    workers = [await python_worker(), await node_worker()]
    for number, worker in enumerate(workers):
        await worker.connect(own.url, transport="http", token=person.token, client_id=f"idle-{number}")
        await worker.serve(f"lab-{number}")

    def has_come_back() -> bool:
        return "is back after" in own.log or any("Stream read timeout" in worker.log for worker in workers)

    with pytest.raises(AssertionError, match="did not hold within 300"):
        await eventually(has_come_back, within_s=300, interval_s=1)
    for number in range(2):
        assert await workers[1 - number].call(f"lab-{number}", "echo", "still here") == "still here"
    assert not has_come_back()


@pytest.mark.spec("wire-48", "wire-16.8")
async def test_second_stream_of_the_workspaces_admin_ends_the_first_and_others_are_refused(
    server: ServerProcess, alice: Person
) -> None:
    async with open_stream(server, alice.token, client_id="twice") as first:
        assert await first.call("echo", 1) == 1
        async with open_stream(server, alice.token_for("rw"), client_id="twice") as other:
            assert other.response.status_code == 409
        async with open_stream(server, alice.token, client_id="twice") as second:
            with pytest.raises((StopAsyncIteration, httpx.HTTPError)):
                for _ in range(100):
                    await first.record()
            assert await second.call("echo", 2) == 2


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.spec("wire-48")
async def test_silent_stream_is_pinged_every_fifteen_seconds(server: ServerProcess, alice: Person) -> None:
    await ping_of_silent_stream(server, alice.token)


async def ping_of_silent_stream(server: ServerProcess, token: str) -> None:
    """Wait for a ping on a stream on which nothing else happens."""
    async with open_stream(server, token) as stream:
        start = time.monotonic()
        while (await stream.frame(timeout_s=17)).main != {"type": "ping"}:
            assert time.monotonic() - start < 16
        assert time.monotonic() - start <= 16


@pytest.mark.spec("wire-49")
async def test_slow_reader_loses_no_frame(
    server: ServerProcess, connect_raw: ConnectRaw, alice: Person
) -> None:
    sender = await connect_raw(alice)
    async with open_stream(server, alice.token, client_id="slow-reader") as stream:
        assert await stream.call("echo", "ready") == "ready"
        for number in range(1000):
            main = {"type": "method", "to": "slow-reader", "method": "services.svc.take"}
            await sender.send(main, {"args": [number, b"x" * 1000]})
        await sender.call_manager("echo", "fence")
        got: list[int] = []
        while len(got) < 1000:
            frame = await stream.frame()
            if frame.method == "services.svc.take":
                got.append(frame.extra["args"][0])
        assert got == list(range(1000))


@pytest.mark.spec("wire-48")
async def test_stream_of_a_client_that_vanished_without_a_word_ends_by_itself(
    start_server: StartServer, connect: Connect
) -> None:
    quick = {"IDLE_THRESHOLD": "0.5", "SWEEP_INTERVAL": "0.3", "PING_TIMEOUT": "0.5", "MAX_PING_MISSES": "2"}
    env = {f"HYPHA_STREAM_{name}": value for name, value in quick.items()}
    own = await start_server(env={**env, "HYPHA_STREAM_PING_INTERVAL": "1"})
    alice = make_person(own, "alice")
    async with FaultProxy(own.url) as proxy, FaultProxy(own.url) as intact:
        lost = await connect(alice, url=proxy.url, transport="http", client_id="lost")
        idle = await connect(alice, url=intact.url, transport="http", client_id="idle")
        reconnected: list[Any] = []
        idle.rpc.on("manager_refreshed", reconnected.append)
        watcher = await connect(alice, url=own.url)
        async with open_stream(own, alice.token, client_id="raw") as silent:
            for link in proxy.links:
                link.lose()

            async def is_held() -> bool:
                return "Stream of " in own.log and f"{alice.workspace}/lost is dead" in own.log

            await eventually(is_held, within_s=10, what="the dead stream to be noticed")
            assert await silent.call("echo", "hosts nothing, is asked nothing") is not None
        await ping_of_silent_stream(own, alice.token)
        assert Settings().stream_ping_interval_s <= 15
        assert await watcher.ping("idle") == "pong"
        assert not reconnected, "who answers keeps its stream"
        await idle.disconnect()
        proxy.cut_all()
        await lost.disconnect()


@pytest.mark.spec("wire-48")
async def test_idle_timeout_is_for_websockets_alone(start_server: StartServer, connect: Connect) -> None:
    own = await start_server(env={"HYPHA_WS_IDLE_TIMEOUT": "1"})
    alice = make_person(own, "alice")
    async with open_stream(own, alice.token) as stream:
        assert await stream.call("echo", 1) == 1
        for _ in range(3):
            socket = await RawClient.connect(own.ws_url, token=alice.token)
            assert await socket.wait_closed(10) == (1001, "Idle timeout (1s)")
        assert await stream.call("echo", 2) == 2
