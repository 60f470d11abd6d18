"""The address of a client behind proxies."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.errors import ConfigurationError
from hypha.web.client_address import TrustedProxies, throttled
from hypha.web.headers import by_name
from hypha.web.scope import PREFIX


def address(trusted: list[str], peer: str | None, forwarded: str | None) -> str:
    headers = {b"x-forwarded-for": forwarded.encode()} if forwarded else {}
    return TrustedProxies(trusted).client_address({"client": (peer, 1) if peer else None}, headers)


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "expected"),
    [
        ([], "1.1.1.1", "9.9.9.9", "1.1.1.1"),
        (["10.0.0.0/8"], "1.1.1.1", "9.9.9.9", "1.1.1.1"),
        (["10.0.0.0/8"], "10.0.0.1", "9.9.9.9", "9.9.9.9"),
        (["10.0.0.0/8"], "10.0.0.1", "6.6.6.6, 9.9.9.9, 10.0.0.2", "9.9.9.9"),
        (["10.0.0.0/8"], "10.0.0.1", "junk, <script>", "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", None, "10.0.0.1"),
        (["::1"], "::1", "2001:db8::5", "2001:db8::5"),
        (["10.0.0.0/8"], "::ffff:10.0.0.1", "9.9.9.9", "9.9.9.9"),
        (["10.0.0.0/8"], "10.0.0.1", "9.9.9.9, ::ffff:10.0.0.2", "9.9.9.9"),
        (["10.0.0.1"], None, "9.9.9.9", "unknown"),
        (["10.0.0.0/8"], "10.0.0.1", "1.2.3.4:5678", "1.2.3.4"),
        (["10.0.0.0/8"], "10.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        (["10.0.0.0/8"], "10.0.0.1", "6.6.6.6, 1.2.3.4:5678, 10.0.0.2:80", "1.2.3.4"),
        (["10.0.0.0/8"], "10.0.0.1", "6.6.6.6, junk, 10.0.0.2", "10.0.0.2"),
        (["10.0.0.0/8"], "10.0.0.1", "10.0.0.7, 10.0.0.2", "10.0.0.7"),
    ],
)
def test_only_trusted_hops_are_believed(
    trusted: list[str], peer: str | None, forwarded: str | None, expected: str
) -> None:
    assert address(trusted, peer, forwarded) == expected


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8:0:0:ffff::9", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("unknown", "unknown", True),
    ],
)
def test_an_ipv6_network_is_one_when_it_is_slowed_down(one: str, other: str, same: bool) -> None:
    assert (throttled(one) == throttled(other)) is same


def test_a_malformed_setting_is_refused_at_start() -> None:
    with pytest.raises(ConfigurationError, match="not-a-network"):
        TrustedProxies(["not-a-network"])


def entered(headers: list[tuple[str, str]], *, peer: str = "10.0.0.1", kind: str = "http") -> dict[str, Any]:
    """The scope of a request that came from `peer`, after it has entered."""
    scope: dict[str, Any] = {
        "type": kind,
        "scheme": "http" if kind == "http" else "ws",
        "client": (peer, 1234),
        "server": ("127.0.0.1", 9527),
        "headers": [(b"host", b"inner:9527"), *((name.encode(), value.encode()) for name, value in headers)],
    }
    TrustedProxies(["10.0.0.0/8"]).enter(scope)
    return scope


def seen(scope: dict[str, Any]) -> tuple[Any, ...]:
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    return scope["scheme"], scope["client"], scope["server"], hosts, scope.get(PREFIX, "")


FORWARDED = [
    ("x-forwarded-for", "1.2.3.4:5678"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "hub.example"),
    ("x-forwarded-port", "8443"),
    ("x-forwarded-prefix", "/lab"),
]


def test_a_request_through_a_trusted_proxy_is_as_its_client_sent_it() -> None:
    expected = ("https", ("1.2.3.4", 5678), ("hub.example", 8443), [b"hub.example:8443"], "/lab")
    assert seen(entered(FORWARDED)) == expected
    assert seen(entered(FORWARDED, kind="websocket")) == ("wss", *expected[1:])
    standard = entered([("forwarded", "for=1.2.3.4;proto=https;host=hub.example")])
    assert seen(standard) == ("https", ("1.2.3.4", 0), ("hub.example", 443), [b"hub.example"], "")


def test_what_anybody_else_tells_is_ignored() -> None:
    plain = ("http", ("9.9.9.9", 1234), ("127.0.0.1", 9527), [b"inner:9527"], "")
    assert seen(entered(FORWARDED, peer="9.9.9.9")) == plain
    assert seen(entered([("forwarded", "for=1.2.3.4;proto=https;host=x")], peer="9.9.9.9")) == plain


def test_equal_lines_of_proxies_are_one_list() -> None:
    lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4, 10.0.0.2")]
    lines += [("x-forwarded-proto", "ftp"), ("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")]
    scope = entered(lines)
    assert (scope["scheme"], scope["client"]) == ("https", ("1.2.3.4", 0))
    proxies = TrustedProxies(["10.0.0.0/8"])
    raw = {"client": ("10.0.0.1", 1), "headers": [(name.encode(), value.encode()) for name, value in lines]}
    assert proxies.address_in(raw) == "1.2.3.4"


def test_a_request_enters_once() -> None:
    scope = entered([("x-forwarded-for", "6.6.6.6, 10.0.0.9"), ("x-forwarded-proto", "https, http")])
    first = seen(scope)
    proxies = TrustedProxies(["10.0.0.0/8", "6.6.6.6"])
    proxies.enter(scope)
    assert seen(scope) == first
    assert proxies.client_address(scope, by_name(scope["headers"])) == "6.6.6.6"
    assert proxies.scheme_and_host(scope, by_name(scope["headers"])) == ("https", "inner:9527")


def test_junk_leaves_the_proxys_own_address() -> None:
    scope = entered(
        [("x-forwarded-for", "unknown"), ("x-forwarded-proto", "gopher"), ("x-forwarded-host", "a b")]
    )
    assert seen(scope) == ("http", ("10.0.0.1", 1234), ("inner", 9527), [b"inner:9527"], "")
