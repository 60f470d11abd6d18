"""Whose code an application is: who registered it decides what it gets of its visitor's, and nothing else."""

from __future__ import annotations

import base64
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, Request, WebSocket
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import InvalidStatus

from hypha.testing import ServerProcess, mint_token
from tests.e2e.chromium import Page
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person, make_person

pytestmark = pytest.mark.timeout(90)

STARTUP = """
async def start(server):
    await server.register_service(
        {"id": "of-the-operator", "type": "functions", "config": {"visibility": "public"},
         "index": lambda event: {"headers": {"Content-Type": "text/html"}, "body": str(event["headers"])}}
    )
"""


def spy(name: str, seen: dict[str, Any]) -> dict[str, Any]:
    """A `functions` service that notes what reaches it."""

    def note(event: Any) -> dict[str, Any]:
        seen[name] = event
        cookies = [["Set-Cookie", f"sid={name}; Path =/; Domain =127.0.0.1"]]
        caching = [["Cache-Control", "public, max-age=600"], ["CDN-Cache-Control", "max-age=600"]]
        return {"headers": [["Content-Type", "text/html"], *cookies, *caching], "body": "<title>spy</title>"}

    return {
        "id": name,
        "type": "functions",
        "config": {"visibility": "public"},
        "default": note,
        "index": note,
    }


def asgi_spy(name: str, seen: dict[str, Any]) -> dict[str, Any]:
    """An ASGI service that notes what reaches it."""
    app = FastAPI()

    @app.get("/{path:path}")
    async def front(request: Request) -> dict[str, str]:
        seen[name] = {key: value for key, value in request.scope.items() if key != "app"}
        return {}

    @app.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        seen[name] = {key: value for key, value in socket.scope.items() if key != "app"}
        words = socket.scope["subprotocols"]
        await socket.accept(words[0] if words else None, headers=[(b"set-cookie", b"sid=1; Path =/")])
        await socket.close()

    @app.websocket("/malformed")
    async def malformed(socket: WebSocket) -> None:
        await socket.accept(headers=[(b"set-cookie ", b"access_token=x; Path=/")])

    async def serve(args: dict[str, Any]) -> None:
        await app(args["scope"], args["receive"], args["send"])

    return {"id": name, "type": "asgi", "config": {"visibility": "public"}, "serve": serve}


class Team:
    """A workspace of the owner in which a member serves applications, and the owner's own one."""

    def __init__(self, http: httpx.AsyncClient, owner: Person, member: Person) -> None:
        self.http, self.owner, self.member = http, owner, member
        self.seen: dict[str, Any] = {}
        self.shared = f"team-{uuid.uuid4().hex[:10]}"

    def path(self, service: str, workspace: str | None = None) -> str:
        return f"/{workspace or self.shared}/apps/{service}/"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def team(server: ServerProcess, module_connect: Connect) -> Any:
    owner = make_person(server, "owner")
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        found = Team(http, owner, make_person(server, "member"))
        first = await module_connect(owner, client_id="owner")
        await first.create_workspace({"id": found.shared, "persistent": True})
        for workspace in (owner.workspace, found.shared):
            token = owner.token_for("rw", workspace)
            client = await module_connect(owner.with_token(token), workspace=workspace, client_id="member")
            await client.register_service(spy("theirs", found.seen))
            await client.register_service(asgi_spy("theirs-asgi", found.seen))
        admin = await module_connect(owner, workspace=found.shared, client_id="admin")
        await admin.register_service(spy("mine", found.seen))
        await admin.register_service(asgi_spy("mine-asgi", found.seen))
        yield found


def everything_with(token: str) -> dict[str, str]:
    """Headers that carry a token in many ways, and one that is the visitor's business."""
    return {
        "Authorization": f"Bearer {token}",
        "Proxy-Authorization": f"Bearer {token}",
        "X-Local-Auth": token,
        "Referer": f"https://here.example/?token={token}",
        "X-Odd": base64.b64encode(f"me:{token}".encode()).decode(),
        "X-Percent": quote("".join(f"%{ord(letter):02x}" for letter in token)),
        "Cookie": f"access_token={token}; hypha_local_token={token}; other={token}",
        "X-Mine": "yes",
    }


@pytest.mark.spec("core-H6")
async def test_code_of_another_user_never_receives_a_credential(team: Team) -> None:
    token = team.owner.token
    query = f"?a=1&token={token}&access_token={token}&x={quote(base64.b64encode(token.encode()).decode())}"
    bound = team.owner.token_for("a", team.shared)
    for given in (token, bound):
        headers = {**everything_with(given), "Sec-Fetch-Site": "same-origin"}
        for workspace in (team.owner.workspace, team.shared):
            for service in ("theirs", "theirs-asgi"):
                if given is bound and workspace != team.shared:
                    continue
                answer = await team.http.get(team.path(service, workspace) + query, headers=headers)
                assert answer.status_code == 200, answer.text
                assert answer.headers["content-security-policy"].startswith("sandbox "), (service, workspace)
                event = str(team.seen.pop(service))
                assert given not in event and base64.b64encode(given.encode()).decode() not in event
                assert "%65%79" not in event
                assert "x-mine" in event and "a=1" in event
                assert "authorization" not in event and "access_token" not in event


async def test_a_token_in_the_address_of_anothers_application_is_refused(team: Team) -> None:
    headers = {"Authorization": f"Bearer {team.owner.token}"}
    answer = await team.http.get(f"{team.path('theirs')}a/{team.owner.token}", headers=headers)
    assert (answer.status_code, "theirs" in team.seen) == (400, False)


async def test_a_token_that_is_not_in_use_is_taken_out_too(team: Team) -> None:
    headers = {"X-Other": f"it is {team.member.token}", "X-Mine": "yes"}
    assert (
        await team.http.get(f"{team.path('theirs')}?token={team.member.token}&b=2", headers=headers)
    ).is_success
    event = team.seen.pop("theirs")
    assert team.member.token not in str(event)
    assert (event["query_string"], event["headers"]["x-mine"]) == ("b=2", "yes")


async def test_ones_own_code_receives_the_request_as_it_is(team: Team) -> None:
    token = team.owner.token
    for service in ("mine", "mine-asgi"):
        answer = await team.http.get(f"{team.path(service)}?token={token}", headers=everything_with(token))
        assert answer.status_code == 200
        assert "content-security-policy" not in answer.headers
        event = team.seen.pop(service)
        headers = dict(event["headers"])
        if service == "mine-asgi":
            headers = {name.decode(): value.decode() for name, value in headers.items()}
        assert headers["authorization"] == f"Bearer {token}"
        assert f"access_token={token}" in headers["cookie"]


async def test_a_token_for_one_workspace_makes_no_code_of_its_persons_own(
    team: Team, connect: Connect
) -> None:
    """Else a program that was let into one workspace would get the session, which reaches all of them."""
    fields = {"workspaces": {team.shared: "a"}, "current": team.shared}
    limited = mint_token(team.owner.secret, team.owner.id, **fields)
    program = await connect(team.owner.with_token(limited), workspace=team.shared, client_id="program")
    await program.register_service(spy("lent", team.seen))
    await program.register_service(asgi_spy("lent-asgi", team.seen))
    for token, is_its_own in ((team.owner.token, False), (limited, True)):
        for service in ("lent", "lent-asgi"):
            answer = await team.http.get(team.path(service), headers=everything_with(token))
            assert answer.status_code == 200
            assert ("content-security-policy" in answer.headers) is not is_its_own
            assert (token in str(team.seen.pop(service))) is is_its_own


async def test_no_cache_gives_others_what_the_author_gets_without_a_sandbox(team: Team) -> None:
    headers = {"Authorization": f"Bearer {team.owner.token}"}
    answer = await team.http.get(team.path("mine"), headers=headers)
    assert "content-security-policy" not in answer.headers
    assert answer.headers["cache-control"] == "private, no-cache"
    assert "cdn-cache-control" not in answer.headers
    answer = await team.http.get(team.path("theirs"), headers=headers)  # in the sandbox for everybody
    assert answer.headers["cache-control"] == "public, max-age=600"
    team.seen.clear()


async def test_a_child_token_is_another_user_than_its_maker(team: Team) -> None:
    child = team.owner.token_for("a", team.shared)
    headers = {"Authorization": f"Bearer {child}"}
    for service in ("mine", "theirs"):
        answer = await team.http.get(team.path(service), headers=headers)
        assert answer.headers["content-security-policy"].startswith("sandbox ")
        assert child not in str(team.seen.pop(service))


async def test_visitors_are_told_by_facts_that_name_no_other_workspace(
    team: Team, server: ServerProcess
) -> None:
    rights = {team.shared: "r", "secret-project": "a"}
    visitor = make_person(server, "visitor", workspaces=rights, email="v@lab.example")
    headers = {"Authorization": f"Bearer {visitor.token}"}
    for service in ("theirs", "theirs-asgi"):
        assert (await team.http.get(team.path(service), headers=headers)).is_success
        event = team.seen.pop(service)
        assert (event["user"]["id"], event["user"]["email"]) == (visitor.id, "v@lab.example")
        assert event["user"]["scope"]["workspaces"][team.shared] == "r"
        assert "secret-project" not in str(event)


async def test_a_provider_learns_of_no_other_workspace_of_its_caller(
    team: Team, server: ServerProcess, connect: Connect
) -> None:
    def who(context: Any = None) -> Any:
        return context["user"]

    provider = await connect(team.owner, workspace=team.shared, client_id="provider")
    config = {"visibility": "public", "require_context": True}
    await provider.register_service({"id": "who", "config": config, "who": who})
    rights = {team.shared: "r", "secret-project": "a"}
    caller = make_person(server, "caller", workspaces=rights)
    client = await connect(caller)
    service = await client.get_service(f"{team.shared}/provider:who")
    headers = {"Authorization": f"Bearer {caller.token}"}
    answer = await team.http.get(f"/{team.shared}/services/provider:who/who", headers=headers)
    for user in (await service.who(), answer.json()):
        assert user["id"] == caller.id
        assert user["scope"]["workspaces"][team.shared] == "r"
        assert "secret-project" not in str(user)
    member = await connect(caller, workspace=team.shared)
    assert "secret-project" not in str(await member.list_clients())


async def test_re_registration_keeps_whose_code_it_is(
    team: Team, server: ServerProcess, connect: Connect
) -> None:
    person = make_person(server, "again")
    client = await connect(person)
    headers = {"Authorization": f"Bearer {person.token}"}
    for _ in range(2):
        await client.register_service(spy("again", team.seen), {"overwrite": True})
        answer = await team.http.get(team.path("again", person.workspace), headers=headers)
        assert "content-security-policy" not in answer.headers
        assert team.seen.pop("again")["headers"]["authorization"] == headers["Authorization"]
    info = await client.get_service_info("again")
    assert "user_id" not in str(info) and "is_inner" not in str(info)


async def test_a_clients_code_in_the_public_workspace_is_not_the_operators(
    start_server: StartServer, connect: Connect, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(STARTUP)
    root_token = uuid.uuid4().hex + uuid.uuid4().hex
    flags = [f"--startup-functions={tmp_path}/own.py:start", "--root-token", root_token]
    own = await start_server(flags=flags)
    seen: dict[str, Any] = {}
    root = await connect(url=own.url, token=root_token, workspace="public", client_id="outside")
    await root.register_service(spy("of-a-client", seen))
    visitor = make_person(own, "visitor")
    headers = {"Authorization": f"Bearer {visitor.token}"}
    async with httpx.AsyncClient(base_url=own.url) as http:
        answer = await http.get("/public/apps/of-a-client/", headers=headers)
        assert answer.headers["content-security-policy"].startswith("sandbox ")
        assert visitor.token not in str(seen)
        answer = await http.get("/public/apps/of-the-operator/", headers=headers)
        assert answer.status_code == 200
        assert "content-security-policy" not in answer.headers
        assert visitor.token not in answer.text


@pytest.mark.spec("core-H6")
async def test_members_of_a_workspace_cannot_read_each_others_cookies(
    team: Team, server: ServerProcess, connect: Connect
) -> None:
    clients = []
    for name in ("first", "second"):
        token = team.owner.token_for("rw", team.shared)
        client = await connect(team.owner.with_token(token), workspace=team.shared, client_id=name)
        await client.register_service(spy("both", team.seen))
        clients.append(client)
    async with httpx.AsyncClient(base_url=server.url, headers={"User-Agent": "Mozilla/5.0"}) as http:

        async def seen_by(mode: str) -> str | None:
            await http.get(f"{team.path('both')}?_mode={mode}")
            cookie: str | None = team.seen.pop("both")["headers"].get("cookie")
            return cookie

        assert await seen_by("first") is None
        assert await seen_by("last") is None
        assert [await seen_by("first"), await seen_by("last")] == ["sid=both", "sid=both"]
        names = {cookie.name for cookie in http.cookies.jar}
        assert len(names) == 2 and {cookie.path for cookie in http.cookies.jar} == {team.path("both")}
        http.cookies.clear()
        for name in ("sid", "planted", "hypha_planted"):
            http.cookies.set(name, "1", domain="127.0.0.1", path="/")
        assert await seen_by("first") is None
    for client in clients:
        await client.disconnect()


async def test_a_websocket_of_another_gets_no_credential_and_sets_cookies_at_its_mount(
    team: Team, server: ServerProcess
) -> None:
    url = server.url.replace("http", "ws", 1) + team.path("theirs-asgi")
    token = team.owner.token
    words: Any = ["chat", token]
    headers = {"Authorization": f"Bearer {token}", "Cookie": f"access_token={token}"}
    async with connect_socket(
        f"{url}socket?token={token}&b=2", subprotocols=words, additional_headers=headers
    ) as socket:
        assert socket.subprotocol == "chat"
        assert socket.response is not None
        (line,) = socket.response.headers.get_all("set-cookie")
        assert f"; Path={team.path('theirs-asgi')};" in line
    seen = team.seen.pop("theirs-asgi")
    assert token not in str(seen)
    assert (seen["subprotocols"], seen["query_string"]) == (["chat"], b"b=2")
    with pytest.raises(InvalidStatus):
        async with connect_socket(f"{url}malformed"):
            pass


@pytest.mark.parametrize("path", ["{}%2Fapps%2F{}%2Fx", "{}/apps%2F{}/x", "{}/apps/{}%2Fx/y"])
async def test_an_application_is_at_its_plain_address_only(team: Team, path: str) -> None:
    answer = await team.http.get("/" + path.format(team.shared, "theirs"))
    assert answer.status_code == 404
    assert "set-cookie" not in answer.headers and "theirs" not in team.seen


@pytest.mark.browser
async def test_a_members_page_cannot_use_the_owners_session(
    page: Page, server: ServerProcess, team: Team
) -> None:
    await page.open(f"{server.url}/public/apps/hypha-login/")
    await page.run(
        """
        const headers = {"content-type": "application/json", authorization: `Bearer ${args.token}`};
        await fetch("/public/apps/hypha-login/session", {method: "POST", headers, body: "{}"});
        """,
        token=team.owner.token,
    )
    for workspace in (team.owner.workspace, team.shared):
        await page.open(f"{server.url}{team.path('theirs', workspace)}")
        event = team.seen.pop("theirs")
        assert await page.run("return [document.title, self.origin];") == ["spy", "null"]
        assert team.owner.token not in str(event)
        assert "access_token" not in event["headers"].get("cookie", "")
        await page.open(f"{server.url}{team.path('theirs', workspace)}again")
        assert team.seen.pop("theirs")["headers"]["cookie"] == "sid=theirs"  # and its own cookies work
    cookies = (await page.command("Network.getAllCookies"))["cookies"]
    paths = {cookie["path"] for cookie in cookies if cookie["name"].endswith("sid")}
    assert paths == {team.path("theirs", workspace) for workspace in (team.owner.workspace, team.shared)}
    await page.open(f"{server.url}{team.path('mine')}")
    assert "access_token" in team.seen.pop("mine")["headers"]["cookie"]
    assert await page.run("return self.origin;") == server.url
