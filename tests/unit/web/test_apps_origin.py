"""The origin that applications of clients have for themselves."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.errors import ConfigurationError
from hypha.web.apps_origin import AppsOrigin
from hypha.web.scope import ON_APPS_ORIGIN

MAIN = "https://hub.example/engine"


def scope(host: str, **more: Any) -> dict[str, Any]:
    return {"headers": [(b"host", host.encode())], "path": "/w/apps/a b/", **more}


@pytest.mark.parametrize(
    ("origin", "host", "is_asked"),
    [
        ("https://apps.example", "apps.example", True),
        ("https://apps.example/", "APPS.example.", True),
        ("https://apps.example", "apps.example:443", True),
        ("https://apps.example", "apps.example:8443", False),
        ("https://apps.example:8443", "apps.example:8443", True),
        ("https://apps.example:8443", "apps.example", False),
        ("http://localhost:9527", "localhost:9527", True),
        ("https://apps.example", "hub.example", False),
        ("https://apps.example", "apps.example.evil.example", False),
        ("https://apps.example", "", False),
    ],
)
def test_a_request_belongs_to_the_host_that_it_names(origin: str, host: str, is_asked: bool) -> None:
    assert AppsOrigin(origin, MAIN).is_asked(scope(host)) is is_asked


@pytest.mark.parametrize(
    "origin",
    ["apps.example", "https://", "ftp://apps.example", "https://apps.example/path", "https://apps.example?x",
     "https://user@apps.example", "https://*.example/ a", "https://hub.example", "https://hub.example:8443", "http://HUB.example"],
)  # fmt: skip
def test_what_is_no_origin_of_its_own_is_refused(origin: str) -> None:
    with pytest.raises(ConfigurationError, match="--apps-origin"):
        AppsOrigin(origin, MAIN)


def test_an_address_leads_over_as_it_was_sent() -> None:
    apps = AppsOrigin("https://apps.example", MAIN)
    sent = scope("hub.example", raw_path=b"/w/apps/a%20b/%2F?x", query_string=b"a=1&b=%2F")
    assert apps.address_of(sent) == "https://apps.example/w/apps/a%20b/%2F?a=1&b=%2F"
    assert apps.address_of(scope("hub.example")) == "https://apps.example/w/apps/a%20b/"
    assert (
        apps.address_of(scope("hub.example", raw_path=b"//evil.example/x"))
        == "https://apps.example/evil.example/x"
    )


def test_the_servers_cookies_are_no_ones_there() -> None:
    apps = AppsOrigin("https://apps.example", MAIN)
    cookies = b"access_token=x; app-1-sid=1; hypha_local_token=y;Access_Token=z; theme=dark"
    there = {**scope("apps.example"), "headers": [(b"host", b"apps.example"), (b"cookie", cookies)]}
    assert apps.enter(there) and there[ON_APPS_ORIGIN]
    assert dict(there["headers"])[b"cookie"] == b"app-1-sid=1; theme=dark"
    here = {**scope("hub.example"), "headers": [(b"host", b"hub.example"), (b"cookie", cookies)]}
    assert not apps.enter(here) and ON_APPS_ORIGIN not in here
    assert dict(here["headers"])[b"cookie"] == cookies
