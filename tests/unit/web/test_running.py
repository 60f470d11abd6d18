"""Running requests: a party has its share, and strangers take none of the users' room."""

from __future__ import annotations

import pytest

from hypha.errors import LimitReached
from hypha.limits import Party
from hypha.web.running import Running


def test_an_address_has_its_share_and_others_theirs() -> None:
    running = Running(limit=10, per_user=5, per_address=4)
    greedy, other = Party.of(None, "192.0.2.1"), Party.of(None, "192.0.2.2")
    for number in range(4):
        running.enter(f"g{number}", greedy)
    with pytest.raises(LimitReached, match="from your address") as refused:
        running.enter("g4", greedy)
    assert refused.value.retry_after_s == 1.0
    running.enter("o", other)
    running.leave("g0")
    running.enter("g4", greedy)


def test_strangers_of_however_many_addresses_leave_room_for_users() -> None:
    running = Running(limit=10, per_user=5, per_address=4)
    for number in range(10):
        running.enter(f"s{number}", Party.of(None, f"192.0.2.{number}"))
    with pytest.raises(LimitReached, match="of this server"):
        running.enter("more", Party.of(None, "198.51.100.1"))
    for number in range(5):
        running.enter(f"u{number}", Party.of("alice", "192.0.2.1"))
    with pytest.raises(LimitReached, match="of your user"):
        running.enter("u5", Party.of("alice", "192.0.2.1"))
    running.enter("b", Party.of("bob", "192.0.2.1"))


def test_the_addresses_of_one_ipv6_network_are_one_party() -> None:
    assert Party.of(None, "2001:db8::1") == Party.of(None, "2001:db8::ffff:2")
    assert Party.of(None, "2001:db8::1") != Party.of(None, "2001:db8:0:1::1")
    assert Party.of("192.0.2.1", "") != Party.of(None, "192.0.2.1")
