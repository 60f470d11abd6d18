"""Under which origins browsers see this server: the one check of `Origin` and `Referer`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from hypha.web.client_address import TrustedProxies

_PORTS = {"http": 80, "https": 443}
_SCHEMES = {"ws": "http", "wss": "https"}


class Origins:
    """The origin that is announced, and the one under which a request reached us.

    The latter is the request's `Host` and scheme, or what a trusted proxy says of them.
    """

    def __init__(self, announced_url: str = "", proxies: TrustedProxies | None = None) -> None:
        self.announced = origin_of(announced_url)
        self._proxies = proxies or TrustedProxies()

    def seen(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> str | None:
        """Origin of the address in the browser that sent a request; None where it names no host."""
        scheme, host = self._proxies.scheme_and_host(scope, headers)
        return origin_of(f"{_SCHEMES.get(scheme, scheme)}://{host}")

    def is_own(self, url: str, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> bool:
        """Whether a URL, or the value of `Origin`, names this very server: scheme, host and port."""
        origin = origin_of(url)
        return origin is not None and origin in (self.announced, self.seen(scope, headers))

    def is_from_here(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> bool:
        """Whether the page that made a request is one of this origin, by what the browser says.

        `Sec-Fetch-Site` wins: it also knows of the redirects on the way, and pages in a sandbox are
        other sites to it. Browsers send it to HTTPS and to this machine only; elsewhere `Origin` and
        `Referer` must name this server. A request without any of them comes from nowhere.
        """
        site = headers.get(b"sec-fetch-site")
        sources = [headers[name] for name in (b"origin", b"referer") if name in headers]
        if site is not None:
            return site == b"same-origin" and headers.get(b"origin") != b"null"
        return bool(sources) and all(self.is_own(text.decode("latin-1"), scope, headers) for text in sources)


def origin_of(url: str) -> str | None:
    """`scheme://host[:port]` of a URL in the form that browsers use; None if it has none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not host or "@" in parts.netloc or not _is_plain(parts):
        return None
    if ":" in host:
        host = f"[{host}]"
    return f"{parts.scheme}://{host}" + ("" if port in (None, _PORTS[parts.scheme]) else f":{port}")


def _is_plain(parts: SplitResult) -> bool:
    return parts.netloc.isprintable() and not set(parts.netloc) & set(' \\,"<>')
