"""Signing in with a real OpenID Connect provider, and what it may not do to us."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess, mint_token
from hypha.testing.server import free_port
from hypha.testing.tokens import read_claims
from tests.e2e.chromium import Page
from tests.e2e.login_views import ALLOW, MAY_ALLOW
from tests.e2e.oidc_lab import (
    AUDIENCE,
    CLIENT_ID,
    CLIENT_SECRET,
    OidcServer,
    Visitor,
    query_of,
    require_oidc_server,
    whoami,
)
from tests.kit.clients import Connections

pytestmark = pytest.mark.node

NAMESPACE = "https://amun.ai/"
PAUSE_S = 0.3
IDS = ("lab", "other", "github")


def provider_settings(oidc: OidcServer, **more: Any) -> dict[str, str]:
    """The environment of a server that uses this provider for everything."""
    lab = {
        "id": "lab",
        "name": "The Lab",
        "discovery_url": oidc.discovery_url,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "roles_claim": "roles",
        **more,
    }
    github = {
        "preset": "github",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "scopes": "openid",
        "authorization_endpoint": f"{oidc.url}/authorize",
        "token_endpoint": f"{oidc.url}/oauth/token",
        "userinfo_endpoint": f"{oidc.url}/test/github/user",
        "emails_endpoint": f"{oidc.url}/test/github/emails",
    }
    return {
        "HYPHA_OIDC_PROVIDERS": json.dumps([lab, {**lab, "id": "other", "admin_role": "boss"}, github]),
        "AUTH0_DOMAIN": oidc.url,
        "AUTH0_AUDIENCE": AUDIENCE,
        "HYPHA_OIDC_REFETCH_PAUSE": str(PAUSE_S),
    }


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def oidc(port: int) -> Iterator[OidcServer]:
    """One provider for all tests that don't end it."""
    require_oidc_server()
    running = OidcServer(*(f"http://127.0.0.1:{port}/oidc/{each}/callback" for each in IDS))
    try:
        yield running.start()
    finally:
        running.close()


@pytest.fixture(scope="module")
def ours(port: int, oidc: OidcServer) -> Iterator[ServerProcess]:
    """Our server, with the provider in its settings."""
    running = ServerProcess(port=port, env=provider_settings(oidc))
    try:
        yield running.start()
    finally:
        running.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(ours: ServerProcess, oidc: OidcServer) -> AsyncIterator[Visitor]:
    """Somebody with a fresh browser; the provider is honest again afterwards."""
    person = Visitor(ours)
    yield person
    await person.close()
    await oidc.tell("fault")
    await oidc.tell("clock", offset=0)


@pytest_asyncio.fixture(loop_scope="session")
async def connections(ours: ServerProcess) -> AsyncIterator[Connections]:
    opened = Connections(ours)
    yield opened
    await opened.close()


def user_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    user = answer.json()["user"]
    assert isinstance(user, dict)
    return user


# -- the way of a person --------------------------------------------------------------------------


async def test_a_person_signs_in_and_gets_a_token_of_ours(
    ours: ServerProcess, visitor: Visitor, connections: Connections
) -> None:
    answer = await visitor.sign_in("ann")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{ours.url}/public/apps/hypha-login/"
    cookie = next(each for each in answer.headers.get_list("set-cookie") if each.startswith("access_token="))
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie
    assert visitor.token
    user = user_of(await whoami(ours, visitor.token))
    assert user["id"] == "lab|ann" and user["email"] == "ann@lab.example"
    assert user["roles"] == ["scientist", "boss"]
    client = await connections.connect(token=visitor.token)
    assert client.config.workspace == "ws-user-lab|ann"
    await client.register_service({"id": "echo", "echo": lambda text: text})
    other = Visitor(ours)
    await other.sign_in("ann")
    assert other.token and user_of(await whoami(ours, other.token))["id"] == "lab|ann"
    await other.close()


async def test_the_provider_is_asked_with_pkce_state_and_nonce(visitor: Visitor, oidc: OidcServer) -> None:
    answer = await visitor.start()
    assert answer.headers["location"].startswith(f"{oidc.url}/authorize?")
    asked = query_of(answer.headers["location"])
    assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43
    assert len(asked["state"]) >= 32 and len(asked["nonce"]) >= 32
    assert asked["response_type"] == "code" and asked["scope"] == "openid profile email"
    again = query_of((await visitor.start()).headers["location"])
    assert not {again["state"], again["nonce"], again["code_challenge"]} & set(asked.values())


async def test_signing_out_ends_the_session(ours: ServerProcess, visitor: Visitor) -> None:
    await visitor.sign_in("ann")
    token = visitor.token
    assert token and (await whoami(ours, token)).status_code == 200
    logout = f"{ours.url}/public/apps/hypha-login/logout"
    assert (await visitor.client.post(logout, json={})).status_code == 200
    assert (await whoami(ours, token)).status_code == 401
    await visitor.sign_in("ann")
    assert visitor.token not in (None, token)
    assert (await whoami(ours, visitor.token or "")).status_code == 200


async def test_an_unverified_address_does_not_count(ours: ServerProcess, visitor: Visitor) -> None:
    await visitor.sign_in("unverified")
    assert visitor.token and user_of(await whoami(ours, visitor.token))["email"] is None


async def test_only_the_role_that_the_operator_named_makes_an_administrator(
    ours: ServerProcess, visitor: Visitor
) -> None:
    await visitor.sign_in("ann")
    assert visitor.token and "admin" not in user_of(await whoami(ours, visitor.token))["roles"]
    boss = Visitor(ours)
    await boss.sign_in("ann", "other")
    assert boss.token
    user = user_of(await whoami(ours, boss.token))
    assert user["id"] == "other|ann" and "admin" in user["roles"]
    await boss.close()


async def test_github_accounts_sign_in_by_the_user_interface(ours: ServerProcess, visitor: Visitor) -> None:
    answer = await visitor.sign_in("octo", "github")
    assert answer.status_code == 303 and visitor.token
    user = user_of(await whoami(ours, visitor.token))
    assert user["id"] == "github|583231" and user["email"] == "octo@lab.example"


async def test_nobody_becomes_root(ours: ServerProcess, visitor: Visitor) -> None:
    await visitor.sign_in("root")
    assert visitor.token and user_of(await whoami(ours, visitor.token))["id"] == "lab|root"
    assert read_claims(visitor.token)["sub"] == "lab|root"


async def test_a_waiting_program_gets_its_token_after_consent_only(
    ours: ServerProcess, visitor: Visitor
) -> None:
    service = f"{ours.url}/public/services/hypha-login"
    async with httpx.AsyncClient() as program:
        key = (await program.post(f"{service}/start", json={})).json()["key"]
        answer = await visitor.sign_in("ann", key=key)
        assert answer.headers["location"] == f"{ours.url}/public/apps/hypha-login/?key={key}"
        waiting = await program.post(f"{service}/check", json={"key": key, "timeout": 0})
        assert waiting.status_code == 200 and waiting.json() is None
        page = f"{ours.url}/public/apps/hypha-login"
        session = (await visitor.client.get(f"{page}/session")).json()
        assert session["user"]["id"] == "lab|ann"
        assert {"lab", "other"} <= {each["id"] for each in session["providers"]}
        approved = await visitor.client.post(f"{page}/approve", json={"key": key})
        assert approved.status_code == 200, approved.text
        token = (await program.post(f"{service}/check", json={"key": key, "timeout": 0})).json()
    assert user_of(await whoami(ours, token))["id"] == "lab|ann"


@pytest.mark.parametrize("path", ["/public", "/ws-user-lab%7Cann?tab=tokens"])
async def test_a_path_of_ours_may_be_the_goal(ours: ServerProcess, visitor: Visitor, path: str) -> None:
    answer = await visitor.sign_in("ann", redirect=path)
    assert answer.headers["location"] == f"{ours.url}{path}"


@pytest.mark.parametrize(
    "goal",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "evil.example",
        "/%0d%0aX-Header: y\r\n",
    ],
)
async def test_a_goal_elsewhere_is_refused(visitor: Visitor, goal: str) -> None:
    answer = await visitor.start(redirect=goal)
    assert answer.status_code == 400
    assert "location" not in answer.headers and not answer.cookies


@pytest.mark.parametrize(
    "goal", ["/ws-user-root/services/ws/get_env", "/public/services/hypha-login/logout", "/rpc?client_id=x"]
)
async def test_a_goal_that_is_no_page_becomes_the_front_page(
    ours: ServerProcess, visitor: Visitor, goal: str
) -> None:
    answer = await visitor.sign_in("ann", redirect=goal)
    assert answer.headers["location"] == f"{ours.url}/"


BROWSER = {"user-agent": "Mozilla/5.0 Chrome/150", "accept-language": "de", "upgrade-insecure-requests": "1"}
STEP = {**BROWSER, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.mark.parametrize(
    ("headers", "begins"),
    [
        ({**STEP, "sec-fetch-site": "same-origin"}, True),
        ({**BROWSER, "referer": "{own}/public/apps/hypha-login/"}, True),
        ({**STEP, "sec-fetch-site": "cross-site"}, False),
        ({**STEP, "sec-fetch-site": "same-site"}, False),
        ({**STEP, "sec-fetch-site": "none"}, False),
        ({**BROWSER, "referer": "https://evil.example/"}, False),
        (BROWSER, False),
    ],
)
async def test_a_link_from_elsewhere_asks_before_it_signs_anybody_in(
    ours: ServerProcess, visitor: Visitor, headers: dict[str, str], begins: bool
) -> None:
    sent = {name: text.replace("{own}", ours.url) for name, text in headers.items()}
    url = f"{ours.url}/oidc/lab/start"
    answer = await visitor.client.get(url, params={"redirect": "/public", "key": "k"}, headers=sent)
    if begins:
        assert answer.status_code == 302 and answer.cookies
        return
    assert answer.status_code == 200 and not answer.cookies and "location" not in answer.headers
    assert 'href="start?key=k&amp;redirect=%2Fpublic"' in answer.text and "The Lab" in answer.text
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_with_https_no_other_host_of_the_domain_can_plant_a_sign_in(
    start_server: Any, oidc: OidcServer
) -> None:
    secure = await start_server(flags=["--public-base-url=https://hub.example"], env=provider_settings(oidc))
    async with httpx.AsyncClient() as client:
        line = (await client.get(f"{secure.url}/oidc/lab/start")).headers["set-cookie"]
    assert line.startswith("__Host-hypha_oidc_") and "Secure" in line and "Path=/;" in line
    assert "domain" not in line.lower()


# -- what a provider, or somebody between, may try -----------------------------------------------


def lies() -> dict[str, dict[str, Any]]:
    now = int(time.time())
    return {
        "expired": {"claims": {"exp": now - 61}},
        "without expiry": {"drop": ["exp"]},
        "not yet issued": {"claims": {"iat": now + 120}},
        "another audience": {"claims": {"aud": "somebody-else"}},
        "an audience of two": {"claims": {"aud": [CLIENT_ID, "somebody-else"]}},
        "for another party": {"claims": {"azp": "somebody-else"}},
        "another issuer": {"claims": {"iss": "https://evil.example/"}},
        "another sign-in": {"claims": {"nonce": "n" * 43}},
        "no nonce": {"drop": ["nonce"]},
        "nobody": {"drop": ["sub"]},
        "unsigned": {"header": {"alg": "none"}},
        "public key as secret": {"header": {"alg": "HS256"}},
        "a foreign key": {"key": "other"},
        "a key of its own": {"key": "other", "header": {"jku": "https://evil.example/", "kid": "mine"}},
    }


@pytest.mark.parametrize("name", list(lies()))
async def test_a_lie_in_the_id_token_is_refused(visitor: Visitor, oidc: OidcServer, name: str) -> None:
    await oidc.tell("fault", **lies()[name])
    answer = await visitor.sign_in("ann")
    assert answer.status_code == 401, answer.text
    assert visitor.token is None
    assert 'role="alert"' in answer.text and "Traceback" not in answer.text


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
async def test_both_algorithms_are_read(visitor: Visitor, oidc: OidcServer, alg: str) -> None:
    await oidc.tell("fault", header={"alg": alg})
    assert (await visitor.sign_in("ann")).status_code == 303


@pytest.mark.parametrize("offset", [-630, 45])
async def test_a_clock_that_is_off_by_less_than_a_minute_is_fine(
    visitor: Visitor, oidc: OidcServer, offset: int
) -> None:
    url = await visitor.callback_url("ann")
    await oidc.tell("clock", offset=offset)
    assert (await visitor.client.get(url)).status_code == 303


async def test_a_clock_that_is_off_by_more_is_not(visitor: Visitor, oidc: OidcServer) -> None:
    url = await visitor.callback_url("ann")
    await oidc.tell("clock", offset=-670)
    assert (await visitor.client.get(url)).status_code == 401


async def test_an_answer_counts_once_and_in_the_browser_that_asked(
    ours: ServerProcess, visitor: Visitor
) -> None:
    url = await visitor.callback_url("ann")
    cookies = {each.name: each.value or "" for each in visitor.client.cookies.jar}
    stranger = Visitor(ours)
    refused = await stranger.client.get(url)
    assert refused.status_code == 401 and stranger.token is None
    crossed = await visitor.client.get(url.replace("/oidc/lab/", "/oidc/other/"))
    assert crossed.status_code == 401 and visitor.token is None
    assert (await visitor.client.get(url)).status_code == 303
    for name, value in cookies.items():
        stranger.client.cookies.set(name, value, domain="127.0.0.1")
    assert (await stranger.client.get(url)).status_code == 401 and stranger.token is None
    await stranger.close()


async def test_an_answer_with_a_forged_state_sender_or_code_is_refused(visitor: Visitor) -> None:
    url = await visitor.callback_url("ann")
    asked = query_of(url)
    path = url.partition("?")[0]
    for change in ({"state": "x" * 43}, {"state": ""}, {"state": "é\x00"}):
        answer = await visitor.client.get(path, params={**asked, **change})
        assert answer.status_code == 401, change
    mixed = await visitor.client.get(path, params={**asked, "iss": "https://evil.example/"})
    assert mixed.status_code == 401 and visitor.token is None
    path_2 = await visitor.callback_url("ann")
    forged = await visitor.client.get(path, params={**query_of(path_2), "code": "made-up"})
    assert forged.status_code == 401 and visitor.token is None


async def test_the_words_of_a_refusal_are_not_shown(visitor: Visitor) -> None:
    location = (await visitor.start()).headers["location"]
    answer = await visitor.client.get(
        f"{visitor.server.url}/oidc/lab/callback",
        params={
            "state": query_of(location)["state"],
            "error": "access_denied",
            "error_description": "<script>alert(1)</script> call 555",
        },
    )
    assert answer.status_code == 403
    assert "cancelled" in answer.text and "script>" not in answer.text and "555" not in answer.text


async def test_programs_get_errors_as_json_and_unknown_providers_a_404(visitor: Visitor) -> None:
    headers = {"accept": "application/json"}
    answer = await visitor.client.get(f"{visitor.server.url}/oidc/nobody/start", headers=headers)
    assert answer.status_code == 404 and answer.json()["code"] == "not_found"
    answer = await visitor.client.get(
        f"{visitor.server.url}/oidc/lab/start", params={"key": "../../x"}, headers=headers
    )
    assert answer.status_code == 400 and answer.json()["detail"] == "Invalid login key."


# -- keys ----------------------------------------------------------------------------------------


async def test_new_keys_are_fetched_and_old_ones_forgotten(
    ours: ServerProcess, visitor: Visitor, oidc: OidcServer
) -> None:
    before = await oidc.sign(claims={"sub": "auth0|before"})
    assert user_of(await whoami(ours, before))["id"] == "auth0|before"
    await oidc.tell("rotate")
    await asyncio.sleep(PAUSE_S)
    assert (await visitor.sign_in("ann")).status_code == 303
    assert user_of(await whoami(ours, await oidc.sign(claims={"sub": "auth0|after"})))["id"] == "auth0|after"
    stolen = await oidc.sign(claims={"sub": "auth0|thief"}, key="old")
    assert (await whoami(ours, stolen)).status_code == 401


async def test_unknown_keys_do_not_make_us_ask_again_and_again(
    ours: ServerProcess, visitor: Visitor, oidc: OidcServer
) -> None:
    path = "/.well-known/jwks.json"
    good = await oidc.sign(claims={"sub": "auth0|ann"})
    assert (await whoami(ours, good)).status_code == 200
    counted = (await oidc.tell("counts")).get(path, 0)
    forged = [
        await oidc.sign(claims={"sub": f"auth0|{n}"}, key="other", header={"kid": f"made-up-{n}"})
        for n in range(15)
    ]
    start = time.monotonic()
    answers = await asyncio.gather(*(whoami(ours, each) for each in forged))
    allowed = 1 + (time.monotonic() - start) / PAUSE_S
    assert {answer.status_code for answer in answers} == {401}
    assert (await oidc.tell("counts")).get(path, 0) - counted <= allowed + 1


# -- access tokens of the Auth0 tenant -----------------------------------------------------------


@pytest.mark.spec("core-4.4")
async def test_access_tokens_of_the_tenant_are_accepted(
    ours: ServerProcess, oidc: OidcServer, connections: Connections
) -> None:
    token = await oidc.sign(
        claims={
            "sub": "auth0|5f1e",
            "scope": "openid profile email",
            f"{NAMESPACE}email": "ann@lab.example",
            f"{NAMESPACE}email_verified": True,
            f"{NAMESPACE}roles": ["scientist", "admin", "anonymous"],
        }
    )
    for _ in range(2):
        user = user_of(await whoami(ours, token))
        assert user["id"] == "auth0|5f1e" and user["email"] == "ann@lab.example"
        assert user["roles"] == ["scientist"] and not user["is_anonymous"]
    client = await connections.connect(token=token)
    assert client.config.workspace == "ws-user-auth0|5f1e"
    child = await client.generate_token()
    assert user_of(await whoami(ours, child))["parent"] == "auth0|5f1e"
    lost = await oidc.sign(claims={"sub": "auth0|5f1e", "jti": "lost"})
    assert (await whoami(ours, lost)).status_code == 200
    await client.revoke_token(lost)
    assert (await whoami(ours, lost)).status_code == 401


async def test_an_address_in_an_access_token_counts_only_if_verified(
    ours: ServerProcess, oidc: OidcServer
) -> None:
    token = await oidc.sign(claims={"sub": "auth0|eve", f"{NAMESPACE}email": "ann@lab.example"})
    assert user_of(await whoami(ours, token))["email"] is None


def wrong_access_tokens() -> dict[str, dict[str, Any]]:
    now = int(time.time())
    return {
        "expired": {"claims": {"exp": now - 61}},
        "without expiry": {"drop": ["exp"]},
        "not yet valid": {"claims": {"nbf": now + 120}},
        "another audience": {"claims": {"aud": CLIENT_ID}},
        "another issuer": {"claims": {"iss": "https://evil.example/"}},
        "our issuer": {"claims": {"iss": "https://amun.ai/"}},
        "unsigned": {"header": {"alg": "none"}},
        "public key as secret": {"header": {"alg": "HS256"}},
        "a foreign key": {"key": "other"},
        "root": {"claims": {"sub": "root"}},
        "an anonymous user": {"claims": {"sub": "anonymouz-http"}},
        "a user of another provider": {"claims": {"sub": "lab|ann"}},
        "a strange id": {"claims": {"sub": "auth0|../x"}},
        "nobody": {"claims": {"sub": ""}},
    }


@pytest.mark.parametrize("name", list(wrong_access_tokens()))
async def test_a_wrong_access_token_is_refused(ours: ServerProcess, oidc: OidcServer, name: str) -> None:
    wanted = wrong_access_tokens()[name]
    wanted["claims"] = {"sub": "auth0|ann", **wanted.get("claims", {})}
    answer = await whoami(ours, await oidc.sign(**wanted))
    assert answer.status_code == 401 and answer.json()["code"] in ("not_authenticated", "token_expired")


async def test_words_in_a_tenants_scope_give_no_right_here(ours: ServerProcess, oidc: OidcServer) -> None:
    token = await oidc.sign(claims={"sub": "auth0|ann", "scope": "openid ws:*#a wid:ws-user-root"})
    async with httpx.AsyncClient() as client:
        answer = await client.get(
            f"{ours.url}/ws-user-root/services/", headers={"authorization": f"Bearer {token}"}
        )
    assert answer.status_code == 403


async def test_without_a_tenant_its_tokens_are_worth_nothing(server: ServerProcess, oidc: OidcServer) -> None:
    token = await oidc.sign(claims={"sub": "auth0|ann"})
    assert (await whoami(server, token)).status_code == 401
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{server.url}/oauth/authorize")).status_code == 404
        assert (await client.post(f"{server.url}/oauth/token", data={"a": "b"})).status_code == 404


# -- the doors of a configured Auth0 tenant --------------------------------------------------------


async def test_the_authorize_door_leads_to_the_tenant(ours: ServerProcess, oidc: OidcServer) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{ours.url}/oauth/authorize?client_id=x&redirect_uri=https%3A%2F%2Fe")
    assert answer.status_code == 307
    assert answer.headers["location"] == f"{oidc.url}/authorize?client_id=x&redirect_uri=https%3A%2F%2Fe"


async def test_the_token_door_passes_form_and_status(ours: ServerProcess) -> None:
    async with httpx.AsyncClient() as client:
        form = {"grant_type": "authorization_code", "code": "made-up", "client_id": CLIENT_ID}
        refused = await client.post(f"{ours.url}/oauth/token", data=form)
        assert refused.status_code in (400, 401) and refused.json()["error"].startswith("invalid")
        form |= {
            "client_secret": CLIENT_SECRET,
            "redirect_uri": "http://127.0.0.1/",
            "code_verifier": "v" * 43,
        }
        refused = await client.post(f"{ours.url}/oauth/token", data=form)
        assert refused.status_code == 400 and refused.json()["error"] == "invalid_grant"
        assert (await client.post(f"{ours.url}/oauth/token", json=form)).status_code == 415
        large = await client.post(f"{ours.url}/oauth/token", data={"code": "x" * 70_000})
        assert large.status_code == 413


async def test_an_access_token_from_the_doors_is_accepted(
    ours: ServerProcess, visitor: Visitor, oidc: OidcServer
) -> None:
    verifier = "v" * 64
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    redirect_uri = f"{ours.url}/oidc/lab/callback"
    asked = {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "redirect_uri": redirect_uri,
        "scope": "openid profile email",
        "resource": AUDIENCE,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "state": "s",
    }
    door = await visitor.client.get(f"{ours.url}/oauth/authorize", params=asked)
    assert door.status_code == 307
    came_back = query_of(await visitor.walk(door, "auth0|ann"))
    form = {
        "grant_type": "authorization_code",
        "code": came_back["code"],
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
        "resource": AUDIENCE,
    }
    answer = await visitor.client.post(f"{ours.url}/oauth/token", data=form)
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store", answer.text
    user = user_of(await whoami(ours, answer.json()["access_token"]))
    assert user["id"] == "auth0|ann" and user["email"] == "ann@lab.example"
    assert user["roles"] == ["scientist"]


@pytest.mark.browser
async def test_the_whole_way_in_a_browser(ours: ServerProcess, oidc: OidcServer) -> None:
    service = f"{ours.url}/public/services/hypha-login"
    async with httpx.AsyncClient(verify=False) as program, Page() as page:
        started = (await program.post(f"{service}/start", json={})).json()
        await page.open(started["login_url"])
        button = "[...document.querySelectorAll('a.provider')].find((a) => a.textContent.includes('The Lab'))"
        await arrive(page, f"return !!{button};")
        await page.run(f"setTimeout(() => {button}.click());")
        form = "document.querySelector('form[method=post]')"
        await arrive(page, f"return !!{form} && !!document.querySelector('[name=login]');")
        fill = "for (const name of ['login', 'password']) document.getElementsByName(name)[0].value = 'bea';"
        await page.run(f"{fill} setTimeout(() => {form}.submit());")
        await arrive(page, "return document.body.innerText.includes('Authorize') && !document.login;")
        await page.run(f"setTimeout(() => {form}.submit());")
        await arrive(page, MAY_ALLOW)
        assert await page.run("return document.cookie;") == "", "scripts don't see the cookie"
        checked = await program.post(f"{service}/check", json={"key": started["key"], "timeout": 0})
        assert checked.json() is None, "nothing is handed out before the person allows it"
        await page.run(ALLOW)
        token = (await program.post(f"{service}/check", json={"key": started["key"], "timeout": 10})).json()
    assert user_of(await whoami(ours, token))["id"] == "lab|bea"


async def arrive(page: Page, condition: str) -> None:
    """Wait until the condition holds, over the loading of other pages."""
    async with asyncio.timeout(15):
        while True:
            with contextlib.suppress(RuntimeError):
                if await page.run(condition):
                    return
            await asyncio.sleep(0.05)


# -- a provider that is away ---------------------------------------------------------------------


async def test_a_provider_that_is_away_stops_nobody_else(start_server: Any) -> None:
    require_oidc_server()
    port = free_port()
    oidc = OidcServer(f"http://127.0.0.1:{port}/oidc/lab/callback")
    ours = await start_server(port=port, env=provider_settings(oidc))
    person = Visitor(ours)
    try:
        away = await person.start()
        assert away.status_code == 503 and "does not answer" in away.text
        json_answer = await person.client.get(
            f"{ours.url}/oidc/lab/start", headers={"accept": "application/json"}
        )
        assert json_answer.json()["code"] == "backend_unavailable"
        local = mint_token(ours.secret, "local-ann", claims={"aud": AUDIENCE})
        assert user_of(await whoami(ours, local))["id"] == "local-ann"
        await asyncio.to_thread(oidc.start)
        token = await oidc.sign(claims={"sub": "auth0|ann"})
        await asyncio.sleep(2.1)
        assert (await person.sign_in("ann")).status_code == 303
        assert (await whoami(ours, token)).status_code == 200
        unseen = await oidc.sign(claims={"sub": "auth0|bob"})
        oidc.close()
        assert (await whoami(ours, token)).status_code == 200
        assert (await whoami(ours, unseen)).status_code == 200
    finally:
        await person.close()
        oidc.close()


async def test_sign_ins_are_in_the_audit_log_and_blocked_users_get_no_token(
    ours: ServerProcess, visitor: Visitor, oidc: OidcServer
) -> None:
    await visitor.sign_in("mallory")
    assert visitor.token
    stranger = Visitor(ours)
    admin = f"{ours.url}/ws-user-root/services/admin-utils"
    async with httpx.AsyncClient(
        verify=False, headers={"authorization": f"Bearer {ours.root_token}"}
    ) as root:
        blocked = await root.post(f"{admin}/block_user", json={"user_id": "lab|mallory", "duration": 60})
        assert blocked.status_code == 200, blocked.text
        assert (await stranger.sign_in("mallory")).status_code == 403 and stranger.token is None
        await oidc.tell("fault", drop=["nonce"])
        assert (await stranger.sign_in("ann")).status_code == 401
        deadline = time.monotonic() + 5
        noted: set[str] = set()
        while not {"signed_in", "sign_in_refused"} <= noted and time.monotonic() < deadline:
            entries = (await root.post(f"{admin}/get_audit_log", json={"limit": 1000})).json()
            noted = {each["action"] for each in entries}
    assert {"signed_in", "sign_in_refused"} <= noted
    assert visitor.token not in str(entries)
    await stranger.close()
