"""Signing in with the clients' `login` and over plain HTTP (docs/authentication.md)."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypha_rpc import login, logout

from hypha.testing import NodeWorker, ServerProcess, mint_token
from hypha.testing.tokens import read_claims
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person
from tests.kit.quick import Watch, check_quick

LOGIN = "/public/services/hypha-login"
JS_LOGIN = """
const answer = { };
answer.token = await hypha.login({
  server_url: args.url, login_timeout: 10, workspace: args.workspace, expires_in: 120, profile: args.profile,
  login_callback: async (context) => {
    answer.context = context;
    const sent = await fetch(context.report_url, {
      method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ key: context.key, token: args.token }),
    });
    answer.status = sent.status;
  },
});
await hypha.logout({
  server_url: args.url,
  logout_callback: (context) => { answer.out = context; },
});
return answer;
"""


@pytest_asyncio.fixture(loop_scope="session")
async def web(server: ServerProcess) -> Any:
    """An HTTP client without credentials."""
    async with httpx.AsyncClient(base_url=server.url, timeout=15) as client:
        yield client


async def call(web: httpx.AsyncClient, function: str, **arguments: Any) -> httpx.Response:
    return await web.post(f"{LOGIN}/{function}", json=arguments)


async def start(web: httpx.AsyncClient, **arguments: Any) -> str:
    answer = await call(web, "start", **arguments)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["key"])


def reporting(web: httpx.AsyncClient, token: str, seen: list[Any], delay_s: float = 0.0, **more: Any) -> Any:
    """A login callback that lets a page report some time later."""

    async def report(context: Any) -> None:
        await asyncio.sleep(delay_s)
        answer = await web.post(context["report_url"], json={"key": context["key"], "token": token, **more})
        assert answer.status_code == 200, answer.text

    async def callback(context: Any) -> None:
        seen.append(context)
        seen.append(asyncio.get_running_loop().create_task(report(context)))

    return callback


@pytest.mark.spec("core-A5", "wire-38")
async def test_python_login_gets_the_token_that_the_page_reports(
    server: ServerProcess, web: httpx.AsyncClient, connect: Connect, alice: Person
) -> None:
    seen: list[Any] = []
    callback = reporting(web, alice.token, seen, 0.2)

    async def attempt() -> float:
        with Watch() as watch:
            token = await login({"server_url": server.url, "login_callback": callback, "login_timeout": 10})
        assert token == alice.token
        return watch.seconds

    await check_quick(attempt, within_s=1.5)  # a report wakes the waiting program at once
    assert set(seen[0]) >= {"login_url", "key", "report_url", "check_url", "generate_url"}
    assert seen[0]["login_url"] == f"{server.url}/public/apps/hypha-login/?key={seen[0]['key']}"
    assert seen[0]["check_url"] == f"{server.url}{LOGIN}/check"
    client = await connect(token=alice.token)
    assert client.config.workspace == alice.workspace


@pytest.mark.spec("core-A5", "wire-38")
@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_python_login_to_a_workspace_gives_a_child_of_that_workspace(
    server: ServerProcess, web: httpx.AsyncClient, connect: Connect, alice: Person, transport: str
) -> None:
    found = await login(
        {
            "server_url": server.url,
            "workspace": alice.workspace,
            "expires_in": 300,
            "profile": True,
            "transport": transport,
            "login_timeout": 10,
            "login_callback": reporting(web, alice.token, [], 0.1, email="a@example.org", name="Alice"),
        }
    )
    assert set(found) == {
        "token", "workspace", "expires_in",
        "email", "email_verified", "name", "nickname", "user_id", "picture",
    }  # fmt: skip
    assert (found["workspace"], found["expires_in"]) == (alice.workspace, 300)
    assert (found["email"], found["name"], found["user_id"]) == ("a@example.org", "Alice", alice.id)
    words = read_claims(found["token"])["scope"].split()
    assert sorted(words) == sorted([f"ws:{alice.workspace}#a", f"wid:{alice.workspace}"])
    client = await connect(token=found["token"], workspace=alice.workspace)
    assert client.config.user["parent"] == alice.id
    owner = await connect(alice)
    handed_out = await owner.list_tokens()
    assert [entry["name"] for entry in handed_out] == ["login"]
    await owner.revoke_token(handed_out[0]["id"])
    assert not await owner.list_tokens()


@pytest.mark.spec("core-A5", "wire-38")
async def test_javascript_login_and_logout(
    server: ServerProcess, connect: Connect, alice: Person, node: NodeWorker
) -> None:
    args = {"url": server.url, "token": alice.token}
    plain = await node.run(JS_LOGIN, **args)
    assert plain["token"] == alice.token
    assert plain["out"] == {"logout_url": f"{server.url}/public/apps/hypha-login/?logout=1"}
    limited = await node.run(JS_LOGIN, **args, workspace=alice.workspace, profile=True)
    assert limited["token"]["workspace"] == alice.workspace
    assert read_claims(limited["token"]["token"])["scope"].endswith(f"wid:{alice.workspace}")


@pytest.mark.spec("core-A5")
async def test_login_over_plain_http_as_in_the_guide(web: httpx.AsyncClient, alice: Person) -> None:
    key = await start(web)
    waiting = asyncio.create_task(call(web, "check", key=key, timeout=10))
    assert (await web.get("/health/readiness")).status_code == 200
    assert (await call(web, "check", key=key, timeout=0)).json() is None
    assert (await call(web, "report", key=key, token=alice.token)).json() is None
    assert (await waiting).json() == alice.token
    again = await call(web, "check", key=key, timeout=0)
    assert again.status_code == 400
    assert again.json()["detail"] == "Invalid key, key does not exist"


async def test_scripts_report_by_get_and_no_log_has_it(start_server: StartServer, alice: Person) -> None:
    own = await start_server(
        env={"HYPHA_ACCESS_LOG": "true", "HYPHA_LOGLEVEL": "DEBUG"}, flags=["--from-env"]
    )
    async with httpx.AsyncClient(base_url=own.url, timeout=20) as web:
        key = await start(web)
        given = {"key": key, "token": alice.token, "email": "a@example.org", "expires_in": "60"}
        answer = await web.get(f"{LOGIN}/report", params=given)
        assert (answer.status_code, answer.json()) == (200, None)
        found = (await web.get(f"{LOGIN}/check", params={"key": key, "timeout": 5, "profile": "true"})).json()
        assert (found["token"], found["email"]) == (alice.token, "a@example.org")
        again = await web.get(f"{LOGIN}/report", params={**given, "token": "junk"})
        assert again.status_code == 400
        limited = await start(web)
        where = {"key": limited, "token": alice.token, "workspace": alice.workspace}
        assert (await web.get(f"{LOGIN}/report", params=where)).status_code == 200
        child = (await web.get(f"{LOGIN}/check", params={"key": limited, "timeout": 5})).json()
        assert f"wid:{alice.workspace}" in read_claims(child)["scope"].split()
    assert f"{LOGIN}/report" in own.log, "the request itself is logged"
    for secret in (alice.token, child, key, limited):
        assert secret not in own.log


@pytest.mark.spec("core-A5")
async def test_one_of_many_checks_gets_the_token(web: httpx.AsyncClient, alice: Person) -> None:
    key = await start(web)
    checks = [asyncio.create_task(call(web, "check", key=key, timeout=10)) for _ in range(3)]
    await call(web, "report", key=key, token=alice.token)
    assert sorted([(await check).status_code for check in checks]) == [200, 400, 400]


@pytest.mark.spec("core-A5")
async def test_a_workspace_scoped_login_over_http(web: httpx.AsyncClient, alice: Person) -> None:
    for at_start, at_report in (({"workspace": alice.workspace}, {}), ({}, {"workspace": alice.workspace})):
        key = await start(web, **at_start)
        assert (await call(web, "report", key=key, token=alice.token, **at_report)).status_code == 200
        token = (await call(web, "check", key=key, timeout=5)).json()
        assert f"wid:{alice.workspace}" in read_claims(token)["scope"].split()


@pytest.mark.spec("core-A5", "core-11.1.2")
async def test_a_login_gives_no_right_that_the_person_lacks(
    web: httpx.AsyncClient, connect: Connect, alice: Person, bob: Person
) -> None:
    await connect(bob)
    for workspace in (bob.workspace, "ws-user-root", "public", "ws-not-there"):
        key = await start(web, workspace=workspace)
        refused = await call(web, "report", key=key, token=alice.token)
        assert refused.status_code == 403, refused.text
        assert "ermission denied" in refused.json()["detail"]
    reader = alice.token_for("r")
    await connect(alice)
    key = await start(web, workspace=alice.workspace)
    assert (await call(web, "report", key=key, token=reader)).status_code == 200
    token = (await call(web, "check", key=key, timeout=5)).json()
    assert f"ws:{alice.workspace}#r" in read_claims(token)["scope"].split()


@pytest.mark.spec("core-A5", "core-11.1.11")
async def test_reports_are_validated(web: httpx.AsyncClient, server: ServerProcess, alice: Person) -> None:
    key = await start(web)
    assert server.secret
    special = mint_token(server.secret, alice.id, extra_scopes=["file:download"])
    expired = mint_token(server.secret, alice.id, life_s=-10)
    for token in ("junk", "", alice.token[:-4], expired, special, None, 5):
        refused = await call(web, "report", key=key, token=token)
        assert refused.status_code == 400, refused.text
        assert refused.json()["detail"].startswith("Invalid token provided to report_login: ")
    odd = await call(web, "report", key=key, token=alice.token, email={"_rtype": "ndarray"})
    assert odd.status_code == 400 and "'email' holds a map" in odd.json()["detail"]
    assert (await call(web, "report", key=key, token=alice.token)).status_code == 200
    twice = await call(web, "report", key=key, token=alice.token)
    assert (twice.status_code, twice.json()["detail"]) == (400, "Invalid key, it was reported already")
    for wrong in ("", "nothing", "x" * 5000, 7):
        refused = await call(web, "report", key=wrong, token=alice.token)
        assert (refused.status_code, refused.json()["detail"]) == (400, "Invalid key, key does not exist")


@pytest.mark.spec("core-11.1.17")
async def test_a_token_is_never_logged(web: httpx.AsyncClient, server: ServerProcess, alice: Person) -> None:
    key = await start(web)
    refused = await web.get(f"{LOGIN}/report", params={"key": "not-a-key", "token": alice.token})
    assert refused.status_code == 400
    assert (await call(web, "check", key=key, timeout=0)).json() is None
    assert (await call(web, "report", key=key, token=alice.token)).status_code == 200
    assert server.root_token
    assert alice.token not in server.log
    assert server.root_token[:8] not in server.log
    assert key not in server.log


@pytest.mark.spec("core-11.1.17")
async def test_the_life_of_a_token_is_bounded(web: httpx.AsyncClient, alice: Person) -> None:
    for life in (-1, 0, 1e12, "long"):
        refused = await call(web, "start", workspace=alice.workspace, expires_in=life)
        assert refused.status_code == 400, life


@pytest.mark.spec("core-A5")
async def test_a_check_that_waits_in_vain_says_so(server: ServerProcess, web: httpx.AsyncClient) -> None:
    late = await call(web, "check", key=await start(web), timeout=0.2)
    assert late.status_code == 500
    assert "Login timeout, waited for 0.2 seconds" in late.json()["detail"]

    async def callback(context: Any) -> None:
        """Nobody signs in."""

    with pytest.raises(Exception, match="Login timeout, waited for 1 seconds"):
        await login({"server_url": server.url, "login_callback": callback, "login_timeout": 1})


@pytest.mark.spec("core-A5")
async def test_a_key_survives_a_restart(start_server: StartServer) -> None:
    own = await start_server()
    assert own.secret
    token = mint_token(own.secret, "zoe")
    async with httpx.AsyncClient(base_url=own.url, timeout=15) as web:
        reported, pending = await start(web), await start(web)
        assert (await call(web, "report", key=reported, token=token)).status_code == 200
        await asyncio.to_thread(own.restart)
        assert (await call(web, "check", key=reported, timeout=1)).json() == token
        assert (await call(web, "report", key=pending, token=token)).status_code == 200
        assert (await call(web, "check", key=pending, timeout=1)).json() == token


@pytest.mark.spec("core-A5")
async def test_a_key_expires(start_server: StartServer) -> None:
    own = await start_server(env={"MAXIMUM_LOGIN_TIME": "1"})
    assert own.secret
    async with httpx.AsyncClient(base_url=own.url, timeout=15) as web:
        key = await start(web)
        late = await call(web, "check", key=key, timeout=60)
        assert "Login timeout, waited for 1 seconds" in late.json()["detail"]
        refused = await call(web, "report", key=key, token=mint_token(own.secret, "zoe"))
        assert (refused.status_code, refused.json()["detail"]) == (400, "Invalid key, key does not exist")


@pytest.mark.spec("core-A5")
async def test_guessing_keys_is_slowed_down(start_server: StartServer) -> None:
    own = await start_server()
    assert own.secret
    async with httpx.AsyncClient(base_url=own.url, timeout=15) as web:
        key = await start(web)
        tries = [await call(web, "check", key=f"guess{n}", timeout=0) for n in range(110)]
        assert {answer.status_code for answer in tries} == {400, 429}
        assert tries[-1].status_code == 429
        assert int(tries[-1].headers["retry-after"]) >= 1
        right = await call(web, "report", key=key, token=mint_token(own.secret, "zoe"))
        assert right.status_code == 429, "from the same address nothing goes on meanwhile"


@pytest.mark.spec("core-A5")
async def test_the_page_is_there(web: httpx.AsyncClient) -> None:
    to_page = await web.get("/login?key=abc")
    assert (to_page.status_code, to_page.headers["location"]) == (307, "/public/apps/hypha-login/?key=abc")
    slash = await web.get("/public/apps/hypha-login?key=abc")
    assert (slash.status_code, slash.headers["location"]) == (307, "/public/apps/hypha-login/?key=abc")
    page = await web.get("/public/apps/hypha-login/", headers={"Cookie": "access_token=stale"})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")


async def test_service_is_described_and_tells_who_calls(
    connect: Connect, web: httpx.AsyncClient, server: ServerProcess, alice: Person
) -> None:
    client = await connect(alice)
    service = await client.get_service("public/hypha-login")
    assert service.type == "functions"
    assert (await service.profile())["user_id"] == alice.id
    found = await web.get(f"{LOGIN}/profile", headers={"Authorization": f"Bearer {alice.token}"})
    assert found.json()["user_id"] == alice.id
    out = await logout({"server_url": server.url, "logout_callback": lambda _: asyncio.sleep(0)})
    assert out["logout_url"].startswith(server.url)


async def test_sign_ins_begun_from_one_address_are_limited(start_server: StartServer) -> None:
    own = await start_server(flags=["--trusted-proxies=127.0.0.1"])
    async with httpx.AsyncClient(base_url=own.url, headers={"X-Forwarded-For": "203.0.113.9"}) as http:
        start, answers = "/public/services/hypha-login/start", []
        for _ in range(20):  # some come back meanwhile, five a second
            answers += await asyncio.gather(*(http.get(start) for _ in range(50)))
            if answers[-1].status_code == 429:
                break
        assert [answer.status_code for answer in answers[:200]] == [200] * 200
        assert answers[-1].status_code == 429
        assert answers[-1].json()["detail"] == "Too many logins were started here."
        elsewhere = await http.get(start, headers={"X-Forwarded-For": "203.0.113.10"})
        assert elsewhere.status_code == 200
