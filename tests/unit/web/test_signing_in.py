"""The cookie of a browser's session."""

from __future__ import annotations

import pytest
from starlette.responses import Response

from hypha.web.apps_origin import AppsOrigin
from hypha.web.signing_in import LOGIN_FUNCTIONS, LOGIN_PAGE, SESSION_COOKIE, SessionCookie


@pytest.mark.parametrize(
    ("base_url", "is_secure"),
    [("https://hub.example", True), ("HTTPS://hub.example", True), ("http://hub.example", False)],
)
def test_no_script_reads_the_cookie_and_it_goes_by_https_where_there_is_https(
    base_url: str, is_secure: bool
) -> None:
    cookie, response = SessionCookie(base_url), Response()
    cookie.set(response, "t", 60.7)
    cookie.delete(response)
    for line in response.headers.getlist("set-cookie"):
        words = {word.strip().lower() for word in line.split(";")}
        assert {"path=/", "httponly", "samesite=lax"} <= words and ("secure" in words) is is_secure
    first, last = response.headers.getlist("set-cookie")
    assert first.startswith(f"{SESSION_COOKIE}=t;") and "Max-Age=60;" in first
    assert last.startswith(f'{SESSION_COOKIE}="";') and "Max-Age=0;" in last


def test_the_names_that_clients_and_operators_know_stay() -> None:
    assert LOGIN_PAGE == "/public/apps/hypha-login/"
    assert LOGIN_FUNCTIONS == "/public/services/hypha-login"
    assert SESSION_COOKIE == "access_token"


def test_an_origin_of_applications_gets_no_session() -> None:
    origin = AppsOrigin("https://apps.example", "https://hub.example")
    cookies = b"a=1; access_token=x; Hypha_Device_1=y; b=2"
    scope = {"headers": [(b"host", b"apps.example"), (b"cookie", cookies)]}
    assert origin.enter(scope) and scope["headers"][1] == (b"cookie", b"a=1; b=2")
