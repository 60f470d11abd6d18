"""The address a request came from, seen through proxies that the operator trusts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from hypha.errors import ConfigurationError
from hypha.networks import parse_address
from hypha.networks import throttled as throttled

UNKNOWN = "unknown"


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
        if not forwarded or not self.trusts(address):
            return address
        for hop in reversed(forwarded.decode("latin-1").split(",")):
            text = hop.strip()
            if not _is_address(text):
                break
            address = text
            if not self.trusts(address):
                break
        return address

    def scheme_and_host(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> tuple[str, str]:
        """Scheme and `host[:port]` under which the client addressed us, as a trusted proxy tells them."""
        scheme, host = str(scope.get("scheme", "http")), headers.get(b"host", b"").decode("latin-1")
        peer = scope.get("client")
        if self._networks and peer and self.trusts(peer[0]):
            told_scheme = _first(headers.get(b"x-forwarded-proto", b""))
            scheme = told_scheme if told_scheme in ("http", "https") else scheme
            host = _first(headers.get(b"x-forwarded-host", b"")) or host
        return scheme, host

    def address_in(self, scope: Mapping[str, Any]) -> str:
        """The same for a scope whose headers nobody has sorted by name yet."""
        lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return self.client_address(scope, {b"x-forwarded-for": b",".join(lines)})

    def trusts(self, text: str) -> bool:
        """Whether an address is one of a trusted proxy."""
        address = parse_address(text)
        return address is not None and any(address in network for network in self._networks)


def _first(value: bytes) -> str:
    """The first of a list: what the proxy nearest to the client wrote."""
    return value.partition(b",")[0].strip().decode("latin-1").lower()


def _is_address(text: str) -> bool:
    return parse_address(text) is not None
