"""The page without a provider, and handlers in the form of `functions` services."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from hypha.auth.tokens import TokenAuthority
from hypha.auth.user_info import UserInfo
from hypha.auth.users import Context, User
from hypha.errors import InvalidRequest, NotAuthenticated, PermissionDenied
from hypha.features.login.custom import Caller, as_function, generator
from hypha.features.login.functions_page import event_of, response_of
from hypha.features.login.shell import PageShell
from hypha.web.credentials import Credentials
from hypha.web.signing_in import SessionCookie


def credentials() -> Credentials:
    async def unknown(token: str) -> User:
        raise NotAuthenticated("Authentication error: unknown")

    return Credentials(unknown, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("expires_at", [1_700_000_000.0, 1_700_000_000, 1_700_000_000.5, None])
async def test_hooks_receive_whole_numbers_where_they_are_whole(expires_at: float | None) -> None:
    seen: list[Any] = []

    async def generate_token(user_info: UserInfo, expires_in: Any) -> str:
        seen.extend([user_info.expires_at, user_info.get_metadata()["expires_at"], expires_in])
        return "token"

    async def page(event: dict[str, Any]) -> None:
        seen.append(event["user"]["expires_at"])

    call = Caller(TokenAuthority("a-secret-that-is-long-enough-for-hs256"))
    user = User("ann", expires_at=expires_at)
    await generator(generate_token, call)(user, 3600.0)
    await as_function("page", page, call).call({}, context=Context(user, "ws-user-ann"))
    whole = expires_at if expires_at is None or expires_at % 1 else int(expires_at)
    assert seen == [whole, whole, 3600, whole]
    assert [type(each) for each in seen] == [type(whole), type(whole), int, type(whole)]
    await generator(generate_token, call)(user, 0.5)
    assert seen[-1] == 0.5


def test_the_page_runs_its_own_script_only() -> None:
    shell = PageShell("/my/engine", credentials(), SessionCookie("https://hub.example"))
    app = Starlette(
        routes=[Route("/logout", shell.logout, methods=["POST"]), Route("/{path:path}", shell.__call__)]
    )
    page = TestClient(app).get("/")
    policy = page.headers["content-security-policy"]
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert f'<script nonce="{nonce}">' in page.text
    assert "default-src 'none'" in policy
    assert "/my/engine/public/services/hypha-login/report" in page.text
    assert "__" not in page.text
    assert page.headers["cache-control"] == "no-store"
    assert "set-cookie" not in page.headers
    assert "set-cookie" not in TestClient(app).get("/?logout=1").headers, "opening an address does nothing"
    assert 'access_token=""' in TestClient(app).post("/logout").headers["set-cookie"]
    with pytest.raises(PermissionDenied):
        TestClient(app).post("/logout", headers={"origin": "https://evil.example"})
    assert TestClient(app).get("/other").status_code == 404


def test_a_request_becomes_a_map() -> None:
    seen: list[dict[str, Any]] = []

    async def answer(request: Request) -> Response:
        seen.append(await event_of(request, User("ann")))
        return Response()

    app = Starlette(routes=[Route("/page/{path:path}", answer, methods=["POST"])])
    TestClient(app).post("/page/a/b?q=1", content=b"body", headers={"X-Thing": "1"})
    event = seen[0]
    assert (event["path"], event["query_string"], event["body"]) == ("/a/b", "q=1", b"body")
    assert event["headers"]["x-thing"] == "1"
    assert event["user"]["id"] == "ann"


@pytest.mark.parametrize(
    ("result", "status", "body", "kind"),
    [
        ("<p>hi</p>", 200, b"<p>hi</p>", "text/html; charset=utf-8"),
        ({"status": 201, "body": b"raw", "headers": {"Content-Type": "a/b"}}, 201, b"raw", "a/b"),
        ("hi", 200, b"hi", "text/plain; charset=utf-8"),
        (b"hi", 200, b"hi", "application/octet-stream"),
        ({"status": 307, "headers": {"Location": "/x"}}, 307, b"", "text/plain; charset=utf-8"),
        ({"status": 204}, 204, b"", None),
        ({"a": 1}, 200, b'{"a": 1}', "application/json"),
        ([1], 200, b"[1]", "application/json"),
        (None, 200, b"", "text/plain; charset=utf-8"),
    ],
)
def test_results_become_answers(result: Any, status: int, body: bytes, kind: str | None) -> None:
    answer = response_of(result)
    assert (answer.status_code, answer.body, answer.headers.get("content-type")) == (status, body, kind)


def test_headers_of_a_function_follow_the_grammar() -> None:
    cookies = response_of({"headers": [["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"]], "body": "x"})
    assert cookies.headers.getlist("set-cookie") == ["a=1", "b=2"]
    for headers in ({"set-cookie ": "a=1"}, {"X-A": "1\r\nX-B: 2"}, {"X-A": "\0"}, 5):
        with pytest.raises(InvalidRequest, match="malformed headers"):
            response_of({"headers": headers, "body": "x"})
