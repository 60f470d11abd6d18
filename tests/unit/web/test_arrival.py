"""How a request came, by what browsers and programs send."""

from __future__ import annotations

import pytest

from hypha.web.arrival import Arrival, arrival_of, is_navigation, mount_of
from hypha.web.client_address import TrustedProxies
from hypha.web.origins import Origins, origin_of

HOST = {"host": "hub.example"}
CHROME = {**HOST, "user-agent": "Mozilla/5.0 Chrome/150", "accept-language": "de", "accept": "*/*"}
CURL = {**HOST, "user-agent": "curl/8.5.0", "accept": "*/*"}
CALL = "/ws-a-b/services/ws/get_env"
MOUNT = "/ws-a-b/apps/dash/"


def arrival(
    headers: dict[str, str],
    path: str = CALL,
    *,
    method: str = "GET",
    query: str = "",
    kind: str = "http",
    base: str = "",
    scheme: str = "https",
) -> Arrival:
    scope = {
        "type": kind,
        "scheme": scheme,
        "method": method,
        "query_string": query.encode(),
        "root_path": base,
    }
    lines = {name.lower().encode(): value.encode() for name, value in headers.items()}
    return arrival_of(scope, lines, Origins(), path)


def fetched(site: str, mode: str, dest: str, **more: str) -> dict[str, str]:
    """What today's browsers say of a request to HTTPS or to this machine."""
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return {**CHROME, "sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest, **named}


@pytest.mark.parametrize(
    "headers",
    [
        CURL,
        HOST,
        {**HOST, "user-agent": "python-httpx/0.28", "accept": "application/json", "connection": "keep-alive"},
        {**HOST, "accept": "application/json, text/plain, */*", "user-agent": "axios/1.7"},
        {**CURL, "sec-fetch-site": "same-origin"},
        {**CURL, "origin": "https://hub.example"},
    ],
)
def test_programs(headers: dict[str, str]) -> None:
    assert arrival(headers) is Arrival.PROGRAM
    assert arrival(headers, method="POST") is Arrival.PROGRAM


@pytest.mark.parametrize(
    "mark",
    [
        {"user-agent": "Mozilla/5.0"},
        {"user-agent": "mozilla/5.0"},
        {"user-agent": "Opera/9.80"},
        {"accept-language": "de"},
        {"accept-language": ""},
        {"upgrade-insecure-requests": "1"},
        {"sec-fetch-mode": "no-cors"},
        {"sec-fetch-dest": "image"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site"},
        {"sec-ch-ua": "x"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"referer": "https://evil.example/"},
        {"referer": "http://hub.example/"},
        {"accept": "image/avif,image/webp,*/*;q=0.8"},
        {"accept": "text/html,application/xhtml+xml"},
        {"accept": "text/css,*/*;q=0.1"},
        {"x-http-method-override": "POST"},
        {"sec-fetch-site": "same-origin", "origin": "null"},
    ],
)
def test_one_mark_of_a_browser_is_enough(mark: dict[str, str]) -> None:
    assert arrival({**CURL, **mark}) is Arrival.OTHER


@pytest.mark.parametrize(
    "headers",
    [
        fetched("same-origin", "cors", "empty", x_hypha_page="1"),
        fetched("same-origin", "same-origin", "empty", x_hypha_page="1"),
        {**CHROME, "x-hypha-page": "1", "referer": "https://hub.example/public/"},
        {**CHROME, "x-hypha-page": "1", "origin": "https://hub.example"},
        {**CHROME, "x-hypha-page": "1", "sec-fetch-site": "same-origin"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_scripts_of_our_own_pages(headers: dict[str, str], method: str) -> None:
    assert arrival(headers, method=method) is Arrival.PAGE


def test_a_script_without_our_header_counts_for_what_no_markup_sends() -> None:
    for mode in ("cors", "same-origin"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert arrival(fetched("same-origin", mode, "empty"), method=method) is Arrival.PAGE
        for method in ("GET", "HEAD"):
            assert arrival(fetched("same-origin", mode, "empty"), method=method) is Arrival.OTHER


SAME = "same-origin"
STEPS = [("navigate", "document"), ("navigate", "iframe"), ("navigate", "object"), ("navigate", "embed")]
PARTS = [
    ("no-cors", dest)
    for dest in ("image", "script", "style", "empty", "audio", "video", "object", "font", "track", "report")
]
CROSS = [("cors", dest) for dest in ("image", "script", "font", "style", "video")]


@pytest.mark.parametrize(("mode", "dest"), [*STEPS, *PARTS, *CROSS, ("websocket", "websocket")])
@pytest.mark.parametrize("site", ["same-origin", "same-site", "cross-site", "none"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_what_a_page_makes_the_browser_do_is_nobodys(mode: str, dest: str, site: str, method: str) -> None:
    for more in ({}, {"x_hypha_page": "1"}, {"referer": "https://hub.example/public/"}):
        if more and "x_hypha_page" in more and dest == "empty":
            continue
        assert arrival(fetched(site, mode, dest, **more), method=method) is Arrival.OTHER


@pytest.mark.parametrize(
    "headers",
    [
        fetched("cross-site", "cors", "empty", origin="https://evil.example"),
        fetched("same-site", "cors", "empty", origin="https://evil.hub.example"),
        fetched("cross-site", "cors", "empty", origin="null"),
        fetched("same-origin", "cors", "empty", origin="null"),
        fetched("cross-site", "cors", "empty", origin="https://evil.example", x_hypha_page="1"),
        fetched("same-origin", "no-cors", "empty", sec_purpose="prefetch"),
        fetched("same-origin", "cors", "empty", purpose="prefetch"),
        fetched("same-origin", "cors", "empty", x_http_method_override="DELETE"),
        fetched("same-origin, cross-site", "cors", "empty"),
        # without HTTPS browsers tell of no site
        {**CHROME, "x-hypha-page": "1"},
        {**CHROME, "x-hypha-page": "1", "origin": "https://evil.example"},
        {**CHROME, "x-hypha-page": "1", "origin": "null"},
        {**CHROME, "x-hypha-page": "1", "referer": "https://hub.example.evil/"},
        {**CHROME, "x-hypha-page": "1", "referer": "http://hub.example/"},
        {**CHROME, "x-hypha-page": "1", "referer": "https://hub.example:8443/"},
        {**CHROME, "x-hypha-page": "0", "origin": "https://hub.example"},
        {**CHROME, "x-hypha-page": "1, 1", "origin": "https://hub.example"},
        {**CHROME, "origin": "https://hub.example"},
        {**CHROME, "referer": "https://hub.example/public/"},
        {**CHROME, "x-hypha-page": "1", "referer": "https://hub.example/", "origin": "https://evil.example"},
        {**CHROME, "upgrade-insecure-requests": "1"},
        {**CHROME, "accept": "image/avif,*/*"},
        CHROME,
    ],
)
def test_scripts_and_pages_elsewhere_are_nobodys(headers: dict[str, str]) -> None:
    for method in ("GET", "POST"):
        assert arrival(headers, method=method) is Arrival.OTHER


def test_pages_of_an_application_ask_it_anything() -> None:
    inside = {"referer": f"https://hub.example{MOUNT}deep/page?x=1"}
    for mode, dest in [*STEPS, *PARTS]:
        for method in ("GET", "POST"):
            headers = fetched(SAME, mode, dest, **inside)
            assert arrival(headers, f"{MOUNT}run", method=method, query="a=1") is Arrival.APP
    assert arrival({**CHROME, **inside}, f"{MOUNT}run") is Arrival.APP
    assert arrival({**CHROME, **inside}, CALL) is Arrival.OTHER
    encoded = {"referer": "https://hub.example/my/hub/ws-a%2Db/apps/d%C3%A4sh/x"}
    assert arrival({**CHROME, **encoded}, "/ws-a-b/apps/däsh/run", base="/my/hub") is Arrival.APP


@pytest.mark.parametrize(
    "referer",
    [
        "https://hub.example/ws-a-b/",
        "https://hub.example/ws-a-b/apps/dash",
        "https://hub.example/ws-a-b/apps/dash2/",
        "https://hub.example/ws-a-b/apps/other/ws-a-b/apps/dash/",
        "https://hub.example/ws-a-b/apps/dash/../other/",
        "https://hub.example/ws-a-b/apps/dash/%2e%2e/other/",
        "https://hub.example/ws-a-b%2Fapps%2Fdash%2F",
        "https://hub.example/?/ws-a-b/apps/dash/",
        "https://evil.example/ws-a-b/apps/dash/",
        "http://hub.example/ws-a-b/apps/dash/",
        "https://hub.example",
        "",
    ],
)
def test_other_pages_open_nothing_inside_of_an_application(referer: str) -> None:
    assert arrival({**CHROME, "referer": referer}, f"{MOUNT}run") is Arrival.OTHER
    site = "same-origin" if referer.startswith("https://hub.example") else "cross-site"
    headers = fetched(site, "navigate", "document", referer=referer)
    assert arrival(headers, f"{MOUNT}run") is Arrival.OTHER
    foreign = fetched("cross-site", "navigate", "document", referer=f"https://hub.example{MOUNT}")
    assert arrival(foreign, f"{MOUNT}run") is Arrival.OTHER


def test_a_person_opens_the_front_page_of_an_application() -> None:
    for site, front in (("none", True), ("same-origin", True), ("same-site", False), ("cross-site", False)):
        opened = fetched(site, "navigate", "document")
        assert (arrival(opened, MOUNT) is Arrival.FRONT) is front
        assert (arrival(opened, MOUNT, method="HEAD") is Arrival.FRONT) is front
        for path, more in (
            (f"{MOUNT}x", {}),
            (MOUNT, {"query": "a"}),
            (MOUNT, {"method": "POST"}),
            (CALL, {}),
        ):
            assert arrival(opened, path, **more) is Arrival.OTHER
        for dest in ("iframe", "frame", "object", "embed"):
            assert arrival(fetched(site, "navigate", dest), MOUNT) is Arrival.OTHER
        assert arrival({**opened, "sec-purpose": "prefetch;prerender"}, MOUNT) is Arrival.OTHER
    assert arrival({**CHROME, "upgrade-insecure-requests": "1"}, MOUNT) is Arrival.OTHER


def test_sockets_of_an_application_come_from_this_origin() -> None:
    own = {**CHROME, "origin": "https://hub.example", "sec-websocket-key": "x"}
    assert arrival(own, f"{MOUNT}socket", kind="websocket", scheme="wss") is Arrival.APP
    assert arrival(own, "/ws", kind="websocket", scheme="wss") is Arrival.OTHER
    for origin in ("https://evil.example", "null", "http://hub.example"):
        assert arrival({**own, "origin": origin}, f"{MOUNT}socket", kind="websocket") is Arrival.OTHER
    program = {
        **HOST,
        "user-agent": "Python websockets",
        "sec-websocket-key": "x",
        "sec-websocket-version": "13",
    }
    assert arrival(program, f"{MOUNT}socket", kind="websocket") is Arrival.PROGRAM


def test_the_origin_is_the_one_that_a_trusted_proxy_tells() -> None:
    headers = {b"host": b"10.0.0.7:9527", b"x-forwarded-proto": b"https", b"x-forwarded-host": b"hub.example"}
    scope = {"type": "http", "scheme": "http", "client": ("10.0.0.1", 1)}
    assert Origins("", TrustedProxies(["10.0.0.0/8"])).seen(scope, headers) == "https://hub.example"
    assert Origins("", TrustedProxies(["10.0.0.2"])).seen(scope, headers) == "http://10.0.0.7:9527"
    announced = Origins("https://hub.example/base", TrustedProxies())
    assert announced.is_own("https://hub.example", scope, headers)
    assert not announced.is_own("http://hub.example", scope, headers)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Hub.Example:443/x", "https://hub.example"),
        ("http://h:80", "http://h"),
        ("http://h:443", "http://h:443"),
        ("http://[::1]:9527/", "http://[::1]:9527"),
        ("http://a@h/", None),
        ("http://h:x/", None),
        ("http://h:99999/", None),
        ("ftp://h/", None),
        ("null", None),
        ("", None),
        ("http://", None),
        ("http://a, http://b", None),
        ("http://a b", None),
    ],
)
def test_origins_are_compared_as_browsers_write_them(url: str, origin: str | None) -> None:
    assert origin_of(url) == origin


def test_what_is_a_mount_and_a_navigation() -> None:
    assert mount_of("/w/apps/s/") == mount_of("/w/apps/s/a/b") == "/w/apps/s/"
    for path in ("/w/apps/s", "/w/apps//x", "//apps/s/", "/w/services/s/f", "/", ""):
        assert mount_of(path) is None
    assert is_navigation({b"sec-fetch-mode": b"navigate", b"sec-fetch-dest": b"document"})
    assert not is_navigation({b"sec-fetch-mode": b"navigate", b"sec-fetch-dest": b"iframe"})
    assert is_navigation({b"user-agent": b"Mozilla/5.0", b"upgrade-insecure-requests": b"1"})
    assert not is_navigation({b"user-agent": b"curl/8"})
