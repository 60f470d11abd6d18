"""Addresses in URLs."""

from __future__ import annotations

import pytest

from hypha.networks import is_loopback, reachable_host


@pytest.mark.parametrize(
    ("listening", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("192.0.2.7", "192.0.2.7"),
        ("0.0.0.0", "127.0.0.1"),
        ("0", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("::", "[::1]"),
        ("0:0:0:0:0:0:0:0", "[::1]"),
        ("[::]", "[::1]"),
        ("::1", "[::1]"),
        ("[::1]", "[::1]"),
        ("2001:DB8::5", "[2001:db8::5]"),
        ("fe80::1%eth0", "[fe80::1%25eth0]"),
        ("localhost", "localhost"),
        ("hub.example", "hub.example"),
    ],
)
def test_the_host_of_a_url_is_the_address_that_is_listened_on(listening: str, host: str) -> None:
    assert reachable_host(listening) == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost"])
def test_this_machine_is_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "192.0.2.1", "a.localhost", "localhost.example", "127.0.0.1.x"]
)
def test_names_that_may_lead_elsewhere_are_not_this_machine(host: str) -> None:
    assert not is_loopback(host)
