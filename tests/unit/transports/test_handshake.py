"""Handshakes take their turns as the address that asks, so that no crowd of newcomers holds up the server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypha.limits.turns import party_of_present_work
from hypha.transports.handshake import shake_hands


async def test_a_handshake_takes_turns_as_its_network() -> None:
    seen: list[str] = []

    async def admit(first: Any, link: Any) -> str:
        seen.append(party_of_present_work())
        return "client"

    for address in ("192.0.2.1", "2001:db8::1", "2001:db8::2"):
        link: Any = SimpleNamespace(
            reception=SimpleNamespace(admit=admit), peer_address=address, admitted=seen.append
        )
        assert await shake_hands(link, '{"client_id": "scope-client"}')
    assert seen == ["192.0.2.1", "client", "2001:db8::/64", "client", "2001:db8::/64", "client"]
    assert party_of_present_work() == ""
