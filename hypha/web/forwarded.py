"""What proxies tell of a request: `X-Forwarded-…` and `Forwarded` (RFC 7239), read by their grammar."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hypha.networks import parse_address

SCHEMES = ("http", "https")
MAX_HOPS = 100
"""Further elements of a list are not looked at: no chain of proxies is that long."""

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,253})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]{1,100}){1,20}")
_PORT = re.compile(r"[0-9]{1,5}")
_ELEMENT = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*"?)+')
_PARAMETER = re.compile(r'(?:[^";]|"(?:[^"\\]|\\.)*"?)+')


@dataclass(frozen=True, slots=True)
class Hop:
    """Address and port (0 where it is not told) of who sent a request to a proxy."""

    address: str
    port: int = 0


def parse_hop(text: str) -> Hop | None:
    """`1.2.3.4`, `1.2.3.4:5678`, `v6`, `[v6]` or `[v6]:443`, also in quotes; None for anything else."""
    text = text.strip(' \t"')
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else None
        if not bracket or (rest and port is None):
            return None
    else:
        host, colon, rest = text.partition(":")
        port = rest if colon and ":" not in rest else None
        if colon and port is None:
            host = text
    address = parse_address(host)
    if address is None or (port is not None and not _PORT.fullmatch(port)):
        return None
    number = int(port or 0)
    return Hop(str(address), number) if number < 65536 else None


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The lists that proxies made, each with the element of the nearest proxy at its end.

    `hops` are who they got the request from; the others are how it was addressed there. Where a
    proxy wrote one value instead of adding one, a list is shorter than that of the hops.
    """

    hops: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()

    @classmethod
    def read(cls, headers: Mapping[bytes, bytes]) -> Forwarded:
        """From the fields of a request by name, equal lines joined.

        `Forwarded` counts only where no `X-Forwarded-For` is there: a proxy that writes one of them
        lets what its client says in the other pass.
        """
        if b"x-forwarded-for" not in headers and b"forwarded" in headers:
            elements = list(_elements(headers[b"forwarded"]))
            return cls(*(tuple(each.get(name, "") for each in elements) for name in ("for", "proto", "host")))
        names = (b"for", b"proto", b"host", b"port", b"prefix")
        return cls(*(_list(headers.get(b"x-forwarded-" + name)) for name in names))

    def scheme(self, depth: int) -> str | None:
        """`http` or `https` as the proxy `depth` places before the nearest one saw it."""
        value = _at(self.schemes, depth).lower()
        return value if value in SCHEMES else None

    def host(self, depth: int, given: str, scheme: str) -> str:
        """`host[:port]` as that proxy saw it; `given` is what the request itself says."""
        told = _at(self.hosts, depth)
        host = told if _HOST.fullmatch(told) else given
        port = _at(self.ports, depth)
        has_port = host.rpartition("]")[2].count(":") == 1
        is_default = port == ("443" if scheme == "https" else "80")
        if not host or has_port or is_default or not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
            return host
        return f"{host}:{int(port)}"

    def prefix(self, depth: int) -> str:
        """The path that proxy took away, empty for none; it begins with a slash and ends without."""
        value = _at(self.prefixes, depth).rstrip("/")
        return value if _PREFIX.fullmatch(value) else ""


def _list(value: bytes | None) -> tuple[str, ...]:
    if value is None:
        return ()
    words = (word.strip() for word in value.decode("latin-1").rsplit(",", MAX_HOPS)[-MAX_HOPS:])
    return tuple(word for word in words if word)


def _elements(value: bytes) -> Iterator[dict[str, str]]:
    for element in _ELEMENT.findall(value.decode("latin-1"))[-MAX_HOPS:]:
        parameters = (part.partition("=") for part in _PARAMETER.findall(element))
        found = {name.strip().lower(): _unquoted(text.strip()) for name, _, text in parameters}
        if found.keys() & {"for", "proto", "host", "by"}:
            yield found


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text.strip('"')) if text.startswith('"') else text


def _at(values: tuple[str, ...], depth: int) -> str:
    """The element `depth` places before the last, or the first of a shorter list."""
    return values[max(0, len(values) - 1 - depth)] if values else ""
