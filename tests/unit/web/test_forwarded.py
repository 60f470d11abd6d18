"""What proxies tell, read by its grammar."""

from __future__ import annotations

import pytest

from hypha.web.forwarded import Forwarded, Hop, parse_hop
from tests.kit.linear_time import check_growth


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("1.2.3.4", Hop("1.2.3.4")),
        (" 1.2.3.4 ", Hop("1.2.3.4")),
        ("1.2.3.4:5678", Hop("1.2.3.4", 5678)),
        ("2001:DB8::1", Hop("2001:db8::1")),
        ("[2001:db8::1]", Hop("2001:db8::1")),
        ("[2001:db8::1]:443", Hop("2001:db8::1", 443)),
        ('"[2001:db8::1]:443"', Hop("2001:db8::1", 443)),
        ("::ffff:1.2.3.4", Hop("1.2.3.4")),
        ("[::ffff:1.2.3.4]:80", Hop("1.2.3.4", 80)),
    ],
)
def test_addresses_with_and_without_ports(text: str, hop: Hop) -> None:
    assert parse_hop(text) == hop


@pytest.mark.parametrize(
    "junk",
    ["", "unknown", "_hidden", "1.2.3", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:99999", "1.2.3.4:5:6", "[::1",
     "::1]", "[::1]x", "[::1]:", "[1.2.3.4", "a.example", "1.2.3.4 5.6.7.8", "<script>",
     "1.2.3.4/8", "0x7f.1"],
)  # fmt: skip
def test_what_is_no_address_is_junk(junk: str) -> None:
    assert parse_hop(junk) is None


def read(**fields: str) -> Forwarded:
    return Forwarded.read({name.replace("_", "-").encode(): value.encode() for name, value in fields.items()})


def test_lists_are_read_without_their_empty_elements() -> None:
    told = read(
        x_forwarded_for="1.1.1.1,, 2.2.2.2 ,", x_forwarded_proto="https, http", x_forwarded_host="a.example"
    )
    assert (told.hops, told.schemes, told.hosts) == (
        ("1.1.1.1", "2.2.2.2"),
        ("https", "http"),
        ("a.example",),
    )
    assert read() == Forwarded()


def test_the_value_of_the_proxy_at_the_client_counts() -> None:
    told = read(x_forwarded_for="6.6.6.6, 1.1.1.1, 10.0.0.2", x_forwarded_proto="ftp, https, http")
    assert [told.scheme(depth) for depth in (0, 1, 2, 9)] == ["http", "https", None, None]
    assert read(x_forwarded_proto="https").scheme(5) == "https"


def test_hosts_and_ports_are_checked() -> None:
    for host in ("hub.example", "hub.example:8443", "[2001:db8::1]:8443", "127.0.0.1"):
        assert read(x_forwarded_host=host).host(0, "given", "http") == host
    for junk in ("a b", "a/b", "user@a", "a,", "<a>", "a:b", "a\\b", "[::1", ":80", "-a", "a:123456"):
        assert read(x_forwarded_host=junk).host(0, "given", "http") in ("given", "a")
    for scheme, port, host in (
        ("https", "443", "hub.example"),
        ("http", "443", "hub.example:443"),
        ("https", "8443", "hub.example:8443"),
        ("https", "0", "hub.example"),
        ("https", "99999", "hub.example"),
        ("https", "x", "hub.example"),
    ):
        assert read(x_forwarded_port=port).host(0, "hub.example", scheme) == host
    assert read(x_forwarded_port="8443").host(0, "hub.example:1", "https") == "hub.example:1"
    assert read(x_forwarded_port="8443").host(0, "[::1]", "https") == "[::1]:8443"


def test_a_prefix_is_a_plain_path() -> None:
    for given, prefix in (("/lab", "/lab"), ("/lab/hypha/", "/lab/hypha"), ("/a.b_c~d-e", "/a.b_c~d-e")):
        assert read(x_forwarded_prefix=given).prefix(0) == prefix
    for junk in (
        "",
        "/",
        "lab",
        "//evil.example",
        "/a//b",
        "/..",
        "/a/../b",
        "/a/./b",
        "/a b",
        "/a?b",
        "/a;b",
        "/%2f",
    ):
        assert read(x_forwarded_prefix=junk).prefix(0) == "", junk


def test_the_standard_field() -> None:
    told = read(
        forwarded='for="[2001:db8::1]:4711";Proto=https;host="hub.example:8443", '
        "for=10.0.0.2;proto=http, for=unknown"
    )
    assert told.hops == ("[2001:db8::1]:4711", "10.0.0.2", "unknown")
    assert (told.scheme(2), told.scheme(1), told.scheme(0)) == ("https", "http", None)
    assert told.host(2, "given", "https") == "hub.example:8443"
    assert read(forwarded='for="a,b;c=\\"d"; proto=https').hops == ('a,b;c="d',)
    assert read(forwarded="junk, , ;;=, for").hops == ("",)


def test_the_standard_field_does_not_count_beside_the_other() -> None:
    assert read(forwarded="for=6.6.6.6;proto=https", x_forwarded_for="1.1.1.1") == Forwarded(("1.1.1.1",))


@pytest.mark.parametrize("shape", ['"', "a", "a=", ";", ",", '\\"', "for=", " ", '"\\', 'for="', "1.1.1.1,"])
def test_reading_takes_linear_time(shape: str) -> None:
    def read_all(given: bytes) -> None:
        fields = dict.fromkeys((b"x-forwarded-prefix", b"x-forwarded-host"), given)
        for name in (b"forwarded", b"x-forwarded-for"):
            told = Forwarded.read({**fields, name: given})
            told.prefix(0), told.host(0, "given", "http"), [parse_hop(hop) for hop in told.hops]

    check_growth(read_all, lambda count: (shape * count).encode(), 5_000, repr(shape))
