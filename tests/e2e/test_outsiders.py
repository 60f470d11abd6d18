"""With HYPHA_ALLOW_ANONYMOUS=false nobody is served without a credential; everybody can sign in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import websockets
from hypha_rpc import connect_to_server, login

from hypha.auth.users import OUTSIDER_TEXT
from hypha.testing import NodeWorker, RawCallError, RawClient, RawRefused, ServerProcess
from tests.e2e.accounts_lab import LOGIN, PASSWORD, Api, new_email
from tests.kit.people import Person, make_person

TEXT = OUTSIDER_TEXT.partition(":")[0]

JS = """
const server = await hypha.connectToServer({ server_url: args.url });
let refused = "";
try { await server.listServices(); } catch (error) { refused = String(error.message || error); }
await server.disconnect();
const found = await hypha.login({
  server_url: args.url, login_timeout: 10,
  login_callback: async (context) => {
    await fetch(context.report_url, {
      method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ key: context.key, token: args.token }),
    });
  },
});
return { refused, is_same: found === args.token };
"""


class Closed:
    """A server that serves nobody without a credential, a person, and a public service and app of hers."""

    def __init__(self, server: ServerProcess, client: Any, person: Person) -> None:
        self.server, self.client, self.person = server, client, person
        self.called: list[Any] = []
        self.http = httpx.AsyncClient(base_url=server.url, timeout=20)
        self.place = client.config.workspace

    async def offer(self) -> None:
        async def serve(args: dict[str, Any], context: Any = None) -> None:
            self.called.append(args["scope"]["type"])
            await args["send"]({"type": "http.response.start", "status": 200, "headers": []})
            await args["send"]({"type": "http.response.body", "body": b"seen"})

        def hello(name: str = "you") -> str:
            self.called.append(name)
            return f"hello {name}"

        config = {"visibility": "public"}
        await self.client.register_service({"id": "open", "config": config, "hello": hello})
        await self.client.register_service({"id": "web", "type": "asgi", "config": config, "serve": serve})
        functions = {"id": "page", "type": "functions", "config": config, "index": hello}
        await self.client.register_service(functions)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def closed() -> AsyncIterator[Closed]:
    async with ServerProcess(env={"HYPHA_ALLOW_ANONYMOUS": "false"}) as server:
        person = make_person(server, "ann")
        client = await connect_to_server({"server_url": server.url, "token": person.token})
        made = Closed(server, client, person)
        await made.offer()
        yield made
        await made.http.aclose()
        await client.disconnect()


async def test_no_call_page_or_list_of_anybody_is_open(closed: Closed) -> None:
    place = closed.place
    paths = [
        f"/{place}/services/open/hello", f"/{place}/services", f"/{place}/services/",
        f"/{place}/services/open", f"/{place}/info", f"/{place}/openapi.json",
        f"/{place}/services/open/openapi.json", f"/{place}/apps/web/", f"/{place}/apps/page/index",
        f"/{place}/services/ws/list_services", "/public/services/ws/echo", "/public/services/",
        "/public/services/hypha-login-2/start", "/public/services/*:hypha-login/start",
        "/public/apps/hypha-loginx/", "/ws-anonymous/services/", "/triton/v2/models",
        "/public/info", "/ws-user-root/services/admin-utils/list_blocked", f"/{place}/artifacts/x",
    ]  # fmt: skip
    junk = {"authorization": "Bearer junk"}
    for path in paths:
        for method, body in (("GET", None), ("POST", {}), ("HEAD", None), ("PUT", {})):
            answer = await closed.http.request(method, path, json=body)
            assert answer.status_code == 401, (method, path, answer.status_code)
            if method != "HEAD":
                assert answer.json()["code"] == "not_authenticated" and TEXT in answer.json()["detail"]
        assert (await closed.http.get(path, headers=junk)).status_code == 401
    assert closed.called == []


async def test_a_session_opens_nothing_by_a_link(closed: Closed) -> None:
    link = {
        "cookie": f"access_token={closed.person.token}", "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "user-agent": "Mozilla/5.0",
        "accept": "text/html",
    }  # fmt: skip
    for path in (f"/{closed.place}/services/open/hello", f"/{closed.place}/services/"):
        assert (await closed.http.get(path, headers=link)).status_code == 401
    for path in (f"/{closed.place}/apps/web/", f"/{closed.place}/apps/page/index"):
        answer = await closed.http.get(path, headers=link)
        assert "seen" not in answer.text and "hello" not in answer.text, "at most a question is shown"
    assert closed.called == []


async def test_who_has_a_credential_is_served_as_ever(closed: Closed) -> None:
    other = make_person(closed.server, "bob")
    headers = {"authorization": f"Bearer {other.token}"}
    url = f"/{closed.place}/services/open/hello"
    assert (await closed.http.get(url, headers=headers)).json() == "hello you"
    assert (await closed.http.get(f"/{closed.place}/apps/web/", headers=headers)).text == "seen"
    client = await connect_to_server({"server_url": closed.server.url, "token": other.token})
    assert await (await client.get_service(f"{closed.place}/open")).hello("bob") == "hello bob"
    await client.disconnect()
    closed.called.clear()


async def test_pages_health_and_the_way_to_sign_in_are_open(closed: Closed) -> None:
    for path in (
        "/", "/health", "/health/readiness", "/metrics", "/api-docs", "/favicon.ico", "/assets/config.json",
        "/public/apps/hypha-login/", "/public/apps/hypha-login/session", "/openapi.json", "/public/",
        f"{LOGIN}/profile", LOGIN,
    ):  # fmt: skip
        answer = await closed.http.get(path)
        assert answer.status_code == 200, (path, answer.text)
    assert (await closed.http.get("/login")).status_code == 307
    assert (await closed.http.get("/ws")).status_code == 426
    api = Api(closed.server)
    email, _, token = await api.account(new_email())
    assert (await api.call("login", email=email, password=PASSWORD))["success"]
    assert (
        (await closed.http.get(f"{LOGIN}/profile", headers={"authorization": f"Bearer {token}"}))
        .json()["user_id"]
        .startswith("local-")
    )
    begun = await api.call("start")
    report = {"key": begun["key"], "token": token}
    assert (await api.http.post(f"{LOGIN}/report", json=report)).status_code == 200
    assert await api.call("check", key=begun["key"], timeout=5) == token
    await api.http.aclose()


@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_programs_sign_in_and_do_nothing_else(
    closed: Closed, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = closed.server
    config = {"server_url": server.url, "transport": transport, "method_timeout": 10}

    async def report(context: Any) -> None:
        async def later() -> None:
            body = {"key": context["key"], "token": closed.person.token}
            assert (await closed.http.post(context["report_url"], json=body)).status_code == 200

        tasks.append(asyncio.create_task(later()))

    tasks: list[asyncio.Task[None]] = []
    token = await login({**config, "login_callback": report, "login_timeout": 10})
    assert token == closed.person.token
    assert not [record for record in caplog.records if TEXT in record.getMessage()], "libraries are content"

    outsider = await connect_to_server(config)
    for call in (
        lambda: outsider.list_services(), lambda: outsider.generate_token(), lambda: outsider.echo("x"),
        lambda: outsider.search_services("x"), lambda: outsider.list_workspaces(), lambda: outsider.get_env(),
        lambda: outsider.subscribe("anything"), lambda: outsider.ping(closed.client.config.client_id),
        lambda: outsider.create_workspace({"id": "a-b"}), lambda: outsider.check_status(),
        lambda: outsider.parse_token(closed.person.token), lambda: outsider.log_event("x"),
        lambda: outsider.register_service({"id": "mine", "config": {"visibility": "public"}, "f": print}),
        lambda: outsider.get_service(f"{closed.place}/open"),
        lambda: outsider.get_service_info(f"{closed.place}/open"),
        lambda: outsider.get_service("public/admin-utils"),
    ):  # fmt: skip
        with pytest.raises(Exception, match=r"(?i)serves nobody|not found|permission"):
            await call()
    assert (await outsider.get_service("public/hypha-login"))["id"].endswith(":hypha-login")
    await outsider.disconnect()
    assert closed.called == []


async def test_javascript_programs_sign_in_too(closed: Closed, node: NodeWorker) -> None:
    done = await node.run(JS, url=closed.server.url, token=closed.person.token)
    assert done["is_same"] and TEXT in done["refused"]


async def test_no_frame_of_an_outsider_reaches_anybody(closed: Closed) -> None:
    receiver = await RawClient.connect(closed.server.ws_url, token=closed.person.token)
    await receiver.offer("mine", visibility="public")
    async with await RawClient.connect(closed.server.ws_url) as outsider:
        for method in ("services.mine.f", "services.built-in.ping", "services.built-in.get_service"):
            with pytest.raises(RawCallError, match=TEXT):
                await outsider.call(receiver.address, method, "x")
        with pytest.raises(RawCallError, match=TEXT):
            await outsider.call(receiver.address, "some-session.callback", "x")
        await outsider.emit("greeting", receiver.address, data="x")
        await outsider.emit("greeting", f"{receiver.workspace}/*", data="x")
        await outsider.send({"type": "method", "to": receiver.address, "method": "services.mine.f"})
        with pytest.raises(RawCallError, match=TEXT):
            await outsider.call_manager("list_services")
        reconnect = {
            "client_id": outsider.info["client_id"],
            "workspace": outsider.workspace,
            "reconnection_token": outsider.info["reconnection_token"],
        }
    with pytest.raises(RawRefused, match=TEXT):
        await RawClient.connect(closed.server.ws_url, **reconnect)
    assert await receiver.is_alive()
    assert not [frame for frame in receiver.frames if "outsider" in frame.main.get("from", "")]
    for workspace in (closed.place, "public", "ws-anonymous", "ws-user-root"):
        with pytest.raises(RawRefused, match=TEXT):
            await RawClient.connect(closed.server.ws_url, workspace=workspace)
    await receiver.close()


async def test_applications_take_no_socket_of_an_outsider(closed: Closed) -> None:
    url = f"{closed.server.url.replace('http', 'ws')}/{closed.place}/apps/web/socket"
    with pytest.raises((websockets.InvalidStatus, websockets.ConnectionClosed)):
        async with websockets.connect(url) as socket:
            await socket.recv()
    assert closed.called == []


async def test_tokens_of_anonymous_users_are_none(closed: Closed) -> None:
    guest = closed.person.token_for("a", roles=["anonymous"])
    with pytest.raises(RawRefused, match=TEXT):
        await RawClient.connect(closed.server.ws_url, token=guest)
    headers = {"authorization": f"Bearer {guest}"}
    answer = await closed.http.get(f"/{closed.place}/services/open/hello", headers=headers)
    assert answer.status_code == 401
