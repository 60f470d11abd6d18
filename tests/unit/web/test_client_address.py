"""The address of a client behind proxies."""

from __future__ import annotations

import pytest

from hypha.errors import ConfigurationError
from hypha.web.client_address import TrustedProxies, throttled


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
