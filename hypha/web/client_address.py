"""The address a request came from, seen through proxies that the operator trusts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from hypha.errors import ConfigurationError

UNKNOWN = "unknown"
_OWN_PREFIX = 64


class TrustedProxies:
    """Networks whose `X-Forwarded-For` is believed; from anybody else the header is ignored."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks: list[IPv4Network | IPv6Network] = []
        for text in networks:
            try:
                self._networks.append(ip_network(text.strip(), strict=False))
            except ValueError:
                raise ConfigurationError(f"Not an address or network of a trusted proxy: {text!r}") from None

    def client_address(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> str:
        """Address of the client: the last hop that is not a trusted proxy."""
        peer = scope.get("client")
        address: str = peer[0] if peer else UNKNOWN
        forwarded = headers.get(b"x-forwarded-for") if self._networks else None
        if not forwarded or not self._trusts(address):
            return address
        for hop in reversed(forwarded.decode("latin-1").split(",")):
            text = hop.strip()
            if not _is_address(text):
                break
            address = text
            if not self._trusts(address):
                break
        return address

    def address_in(self, scope: Mapping[str, Any]) -> str:
        """The same for a scope whose headers nobody has sorted by name yet."""
        lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return self.client_address(scope, {b"x-forwarded-for": b",".join(lines)})

    def _trusts(self, text: str) -> bool:
        address = _parse(text)
        return address is not None and any(address in network for network in self._networks)


def throttled(address: str) -> str:
    """What shares one allowance with an address: itself, or the IPv6 network of its /64.

    Whoever has one IPv6 address has the others of that network too.
    """
    parsed = _parse(address)
    if not isinstance(parsed, IPv6Address):
        return address if parsed is None else str(parsed)
    return str(ip_network((int(parsed), _OWN_PREFIX), strict=False))


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """The address; IPv4 inside IPv6 is the IPv4 address."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (isinstance(found, IPv6Address) and found.ipv4_mapped) or found


def _is_address(text: str) -> bool:
    return _parse(text) is not None
