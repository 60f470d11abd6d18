"""Cookies of applications are made anew, under names that belong to one application."""

from __future__ import annotations

import pytest

from hypha.gateways.asgi_apps.cookies import AppCookies, pairs_of

ROOT = b"/team/apps/web"


def cookies(author: str = "anna", service: str = "web", root: bytes = ROOT) -> AppCookies:
    return AppCookies.of(author, "team", service, root, root + b"/deep")


def built(line: str) -> str | None:
    """What becomes of a line, without the prefix of the name."""
    own = cookies()
    value = own.built_anew(line.encode("latin-1"))
    assert value is None or value.startswith(own.prefix)
    return None if value is None else value.removeprefix(own.prefix).decode()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sid=x", "sid=x; Path=/team/apps/web/deep; SameSite=Lax"),
        ("sid=x; Path=/", "sid=x; Path=/team/apps/web/; SameSite=Lax"),
        ("sid=x; Path =/; Domain =example.org", "sid=x; Path=/team/apps/web/; SameSite=Lax"),
        ("sid=x;\tPATH\t=\t/a", "sid=x; Path=/team/apps/web/a; SameSite=Lax"),
        ("sid=x; Path=/; Path=/b", "sid=x; Path=/team/apps/web/b; SameSite=Lax"),
        ("sid=x; Path=/team/apps/web/c", "sid=x; Path=/team/apps/web/c; SameSite=Lax"),
        ("sid=x; Path=/team/apps/web2", "sid=x; Path=/team/apps/web/team/apps/web2; SameSite=Lax"),
        ("sid=x; Path=relative", "sid=x; Path=/team/apps/web/deep; SameSite=Lax"),
        ("sid=x; Domain=example.org; domain=.org", "sid=x; Path=/team/apps/web/deep; SameSite=Lax"),
        (" sid = x ", "sid=x; Path=/team/apps/web/deep; SameSite=Lax"),
        ('sid="a\\054 b"', 'sid="a\\054 b"; Path=/team/apps/web/deep; SameSite=Lax'),
        (
            "sid=x; Max-Age=60; Secure; HttpOnly; SameSite=lax; Partitioned; Priority=High; x",
            "sid=x; Max-Age=60; Path=/team/apps/web/deep; SameSite=Lax; HttpOnly; Secure; Partitioned",
        ),
        (
            "sid=x; Expires=Thu, 01-Jan-1970 00:00:00 GMT; Max-Age=1;2; SameSite=odd",
            "sid=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=1; Path=/team/apps/web/deep; SameSite=Lax",
        ),
        ("sid=x; Expires=never; Max-Age=1e9", "sid=x; Path=/team/apps/web/deep; SameSite=Lax"),
    ],
)
def test_a_cookie_is_built_from_what_it_says(line: str, expected: str) -> None:
    assert built(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "",
        "sid",
        "=access_token=x",
        "=x",
        "a b=x",
        "sid=a b",
        "sid=a,b",
        'sid=a"b',
        "sid=\u00fc",
        "sid=a\tb",
        "access_token=x",
        "Access_Token=x",
        "access_token2=x",
        "hypha_local_token=x",
        "HYPHA_x=1",
        "__Host-sid=x; Secure; Path=/",
        "__secure-sid=x; Secure",
        "app-0123-sid=x",
        "sid=" + "x" * 4096,
    ],
)
def test_what_is_no_cookie_of_an_application_is_left_out(line: str) -> None:
    assert built(line) is None


def test_a_path_cannot_end_its_attribute() -> None:
    odd = AppCookies.of("anna", "team", "web", b"/team/apps/web;domain=x", b"/team/apps/web;domain=x/\xff")
    value = odd.built_anew(b"sid=x; Path=/")
    assert value is not None and value.endswith(b"; Path=/team/apps/web%3Bdomain=x/; SameSite=Lax")
    value = odd.built_anew(b"sid=x")
    assert value is not None and value.endswith(b"; Path=/team/apps/web%3Bdomain=x/%FF; SameSite=Lax")


def test_names_tell_applications_apart_by_author_workspace_and_service() -> None:
    prefixes = {
        cookies().prefix,
        cookies(author="bert").prefix,
        cookies(service="web2").prefix,
        AppCookies.of("anna", "other", "web", ROOT, ROOT).prefix,
    }
    assert len(prefixes) == 4
    alias = AppCookies.of("anna", "team", "web", b"/team/apps/client:web", ROOT)
    assert alias.prefix == cookies().prefix


def test_an_application_receives_its_own_cookies() -> None:
    own, other = cookies(), cookies("bert")
    sent = [(own.prefix + b"sid", b"1"), (other.prefix + b"sid", b"2"), (b"sid", b"3"), (b"theme", b"4")]
    assert own.received(sent, ()) == b"sid=1"
    assert own.received(sent, (b"sid", b"theme")) == b"sid=1; theme=4"
    assert other.received(sent, ()) == b"sid=2"


def test_cookies_of_a_request_have_a_name() -> None:
    header = b'a=1;b = 2 ; =access_token=x; access_token; c="x y"; d=; b=3'
    assert list(pairs_of(header)) == [(b"a", b"1"), (b"b", b"2"), (b"c", b'"x y"'), (b"d", b""), (b"b", b"3")]
