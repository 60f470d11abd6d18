"""Who sent a request and how it was addressed, seen through proxies that the operator trusts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from hypha.errors import ConfigurationError
from hypha.networks import parse_address
from hypha.networks import throttled as throttled
from hypha.web.forwarded import Forwarded, Hop, parse_hop
from hypha.web.scope import OUTSIDE, PREFIX

UNKNOWN = "unknown"
_FIELDS = frozenset(b"x-forwarded-" + name for name in (b"for", b"proto", b"host", b"port", b"prefix")) | {
    b"forwarded"
}
_WEB_SOCKET = {"http": "ws", "https": "wss"}
_FROM_WEB_SOCKET = {"ws": "http", "wss": "https"}


@dataclass(frozen=True, slots=True)
class Outside:
    """A request as its client sent it to the outermost trusted proxy."""

    client: Hop
    scheme: str
    host: str
    prefix: str


class TrustedProxies:
    """Networks whose `X-Forwarded-…` and `Forwarded` are believed; from anybody else they are ignored."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks: list[IPv4Network | IPv6Network] = []
        for text in networks:
            try:
                self._networks.append(ip_network(text.strip(), strict=False))
            except ValueError:
                raise ConfigurationError(f"Not an address or network of a trusted proxy: {text!r}") from None

    def trusts(self, text: str) -> bool:
        """Whether an address is one of a trusted proxy."""
        if not self._networks:  # asked for at every connect
            return False
        address = parse_address(text)
        return address is not None and any(address in network for network in self._networks)

    def enter(self, scope: MutableMapping[str, Any]) -> None:
        """Make a request's scope say what its client said: `client`, `scheme`, `server`, `host`, prefix.

        Done once, at the edge; nothing changes for requests that came without a trusted proxy.
        """
        if not self._networks or OUTSIDE in scope:
            return
        fields = _forwarded_fields(scope)
        outside = self._outside(scope, fields) if fields else None
        if outside is None:
            return
        scope[OUTSIDE] = outside
        scope[PREFIX] = outside.prefix
        scope["client"] = (outside.client.address, outside.client.port)
        is_socket = scope["type"] == "websocket"
        scope["scheme"] = _WEB_SOCKET[outside.scheme] if is_socket else outside.scheme
        if outside.host:
            scope["server"] = _server(outside)
            others = [pair for pair in scope["headers"] if pair[0] != b"host"]
            scope["headers"] = [(b"host", outside.host.encode("latin-1")), *others]

    def client_address(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> str:
        """Address of the client: the last hop that is not a trusted proxy."""
        known = self._seen(scope, headers)
        if known is not None:
            return known.client.address
        peer = scope.get("client")
        return str(peer[0]) if peer else UNKNOWN

    def address_in(self, scope: Mapping[str, Any]) -> str:
        """The same for a scope whose headers nobody has sorted by name yet."""
        return self.client_address(scope, _forwarded_fields(scope) if self._networks else {})

    def scheme_and_host(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> tuple[str, str]:
        """Scheme and `host[:port]` under which the client addressed us, as a trusted proxy tells them."""
        known = self._seen(scope, headers)
        if known is not None:
            return known.scheme, known.host
        return str(scope.get("scheme", "http")), headers.get(b"host", b"").decode("latin-1")

    def _seen(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Outside | None:
        known: Outside | None = scope.get(OUTSIDE)
        if known is not None or not self._networks or _FIELDS.isdisjoint(headers):
            return known
        return self._outside(scope, headers)

    def _outside(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Outside | None:
        """What the proxies tell; None if the request did not come from one."""
        peer = scope.get("client")
        if not peer or not self.trusts(peer[0]):
            return None
        told = Forwarded.read(headers)
        client, depth = self._client(Hop(str(peer[0]), peer[1] or 0), told.hops)
        own_scheme = str(scope.get("scheme", "http"))
        scheme = told.scheme(depth) or _FROM_WEB_SOCKET.get(own_scheme, own_scheme)
        given = headers.get(b"host", b"").decode("latin-1")
        return Outside(client, scheme, told.host(depth, given, scheme), told.prefix(depth))

    def _client(self, peer: Hop, hops: tuple[str, ...]) -> tuple[Hop, int]:
        """The client and how many trusted proxies lie between it and the nearest one."""
        client, depth = peer, 0
        for index, text in enumerate(reversed(hops)):
            hop = parse_hop(text)
            if hop is None:
                break
            client, depth = hop, index
            if not self.trusts(hop.address):
                break
        return client, depth


def _forwarded_fields(scope: Mapping[str, Any]) -> dict[bytes, bytes]:
    """What proxies may have written, and `host`; equal lines are one list."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _FIELDS:
            found[name] = found[name] + b", " + value if name in found else value
    if found:
        found[b"host"] = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return found


def _server(outside: Outside) -> tuple[str, int]:
    name, colon, port = outside.host.rpartition(":")
    if not colon or "]" in port:
        name, port = outside.host, "443" if outside.scheme == "https" else "80"
    return name.strip("[]"), int(port) if port.isdigit() else 0
