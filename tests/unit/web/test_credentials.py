"""Finding the credential of a request."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from hypha.auth.users import User
from hypha.errors import InvalidRequest, NotAuthenticated
from hypha.web.credentials import Credentials

BROWSER = {b"user-agent": b"Mozilla/5.0", b"accept": b"text/html", b"upgrade-insecure-requests": b"1"}
SCRIPT = {b"sec-fetch-site": b"same-origin", b"sec-fetch-mode": b"cors", b"x-hypha-page": b"1"}


def scope_of(headers: dict[bytes, bytes], path: str = "/ws-a-b/info") -> dict[str, Any]:
    lines = list(headers.items())
    return {
        "type": "http",
        "scheme": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": lines,
    }


def credentials() -> Credentials:
    async def authenticate(token: str) -> User:
        if token == "bad":
            raise NotAuthenticated("Authentication error: unknown")
        return User(token)

    return Credentials(authenticate, None)  # type: ignore[arg-type]


async def token_of(headers: dict[bytes, bytes], *, path: str = "/ws-a-b/info") -> str | None:
    found = credentials()
    found.accept_header(b"x-local-auth")
    found.accept_cookie(b"hypha_local_token")
    return await found.token(scope_of(headers, path))


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({b"authorization": b"Bearer abc"}, "abc"),
        ({b"authorization": b"bearer   abc "}, "abc"),
        ({b"authorization": b"abc"}, "abc"),
        ({b"authorization": b"Basic " + base64.b64encode(b"u:abc")}, "abc"),
        ({b"authorization": b"Basic " + base64.b64encode(b"u:a:b")}, "a:b"),
        ({b"authorization": b"Basic " + base64.b64encode(b"u:abc\n")}, "abc"),
        ({b"authorization": b"Bearer "}, "Bearer"),
        ({b"cookie": b"access_token=abc"}, "abc"),
        ({b"cookie": b'x=1; access_token="abc"'}, "abc"),
        ({b"cookie": b"not_access_token=abc"}, None),
        ({b"cookie": b"=access_token=abc"}, None),
        ({b"cookie": b"access_token =abc"}, None),
        ({b"cookie": b"access_token="}, None),
        ({b"authorization": b"Bearer one", b"cookie": b"access_token=two"}, "one"),
        ({b"authorization": b"", b"cookie": b"access_token=two"}, "two"),
        ({b"x-local-auth": b"three", b"cookie": b"access_token=two"}, "three"),
        ({b"authorization": b"Bearer one", b"x-local-auth": b"three"}, "one"),
        ({b"cookie": b"access_token=two; hypha_local_token=four"}, "four"),
        ({}, None),
    ],
)
async def test_where_a_token_is_found(headers: dict[bytes, bytes], token: str | None) -> None:
    assert await token_of(headers) == token


@pytest.mark.parametrize(
    "value",
    [
        b"Digest abc",
        b"Basic !!!",
        b"Basic " + base64.b64encode(b"\xff\xfe:x"),
        b"Basic " + base64.b64encode(b"abc"),
        b"Basic " + base64.b64encode(b"abc:"),
    ],
)
async def test_a_malformed_credential_is_refused(value: bytes) -> None:
    with pytest.raises(NotAuthenticated):
        await token_of({b"authorization": value})


async def test_what_a_browser_adds_by_itself_counts_for_scripts_of_our_pages_only() -> None:
    basic = b"Basic " + base64.b64encode(b"u:abc")
    for added in (
        {b"cookie": b"access_token=abc"},
        {b"authorization": basic},
        {b"cookie": b"hypha_local_token=abc"},
    ):
        assert await token_of({**added, **BROWSER}) is None
        assert await token_of({**added, **BROWSER, **SCRIPT}) == "abc"
        assert await token_of({**added, **BROWSER, **SCRIPT, b"sec-fetch-site": b"cross-site"}) is None
    given = {b"authorization": b"Bearer abc", **BROWSER}
    assert await token_of(given) == "abc", "no browser adds that by itself"
    git = {b"authorization": basic, b"user-agent": b"git/2.47", b"accept-language": b"de-DE, *;q=0.9"}
    assert await token_of(git) == "abc"


async def test_a_cookie_that_does_not_count_is_hidden_from_a_providers_hook_too() -> None:
    found, seen = credentials(), []

    async def hook(scope: Mapping[str, Any]) -> str | None:
        seen.append(dict(scope["headers"]))
        return dict(scope["headers"]).get(b"cookie", b"").decode() or None

    found.ask_first(hook)
    assert await found.token(scope_of({b"cookie": b"sso=1", **BROWSER})) is None
    assert seen[0] == BROWSER
    assert await found.token(scope_of({b"cookie": b"sso=1", **BROWSER, **SCRIPT})) == "sso=1"


async def test_lines_that_name_several_credentials_are_refused() -> None:
    scope = scope_of({})
    scope["headers"] = [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")]
    with pytest.raises(InvalidRequest):
        await credentials().user(scope)
    scope = scope_of({})
    scope["headers"] = [(b"cookie", b"a=1"), (b"cookie", b"access_token=b"), (b"cookie", b"c=1")]
    assert (await credentials().user(scope)).id == "b"
    scope = scope_of({})
    scope["headers"] = [(b"cookie", b"access_token=a"), (b"cookie", b"access_token=b")]
    with pytest.raises(NotAuthenticated):
        await credentials().user(scope)


async def test_whose_session_a_browser_has_runs_nothing() -> None:
    found, scope = credentials(), scope_of({b"cookie": b"access_token=ann", **BROWSER})
    assert (await found.visitor(scope)).id == "ann"
    assert await found.user(scope) is found.anonymous
    for cookie in (b"access_token=bad", b"access_token=a; access_token=b", b"x=1"):
        assert await found.visitor(scope_of({b"cookie": cookie, **BROWSER})) is found.anonymous
    assert (await found.visitor(scope_of({b"authorization": b"Bearer ann"}))).id == "ann"
