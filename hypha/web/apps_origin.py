"""An origin of its own for applications of clients, apart from the server's pages and sessions."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import quote, urlsplit

from hypha.errors import ConfigurationError
from hypha.web.origins import origin_of
from hypha.web.scope import ON_APPS_ORIGIN
from hypha.web.signing_in import OWN_COOKIES


class AppsOrigin:
    """Where applications of clients are served, and nothing else is.

    Args:
        origin: `https://apps.example`, as browsers see it.
        announced_url: where the server's own pages are; cookies would be shared with the same host.

    Raises:
        ConfigurationError: it is no origin, or its host is that of the server's own pages.
    """

    def __init__(self, origin: str, announced_url: str) -> None:
        found = origin_of(origin)
        if found is None or urlsplit(origin).path.strip("/") or "?" in origin or "#" in origin:
            raise ConfigurationError("--apps-origin takes an origin such as https://apps.example")
        self.origin = found
        parts = urlsplit(found)
        if parts.hostname == urlsplit(announced_url).hostname:
            raise ConfigurationError(
                "--apps-origin needs a host name of its own: browsers share cookies among all ports of one. "
                f"{parts.hostname} is that of the server's own pages (--public-base-url)."
            )
        self._hosts = {f"{parts.scheme}://{parts.netloc}".partition("://")[2]}
        if parts.port is None:
            self._hosts |= {f"{parts.hostname}:80", f"{parts.hostname}:443"}

    def is_asked(self, scope: Mapping[str, Any]) -> bool:
        """Whether a request was sent to this origin, by its `Host`."""
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        return host.decode("latin-1").lower().rstrip(".") in self._hosts

    def enter(self, scope: MutableMapping[str, Any]) -> bool:
        """Mark a request to this origin, and take the server's cookies out of it; False for all others."""
        if not self.is_asked(scope):
            return False
        scope[ON_APPS_ORIGIN] = True
        scope["headers"] = [
            (name, self._without_sessions(value) if name == b"cookie" else value)
            for name, value in scope["headers"]
        ]
        return True

    def address_of(self, scope: Mapping[str, Any]) -> str:
        """The address of a request, on this origin."""
        raw: bytes = scope.get("raw_path") or b""
        path = raw.partition(b"?")[0].decode("latin-1") if raw[:1] == b"/" else quote(scope["path"])
        query = scope.get("query_string", b"").decode("latin-1")
        return self.origin + "/" + path.lstrip("/") + (f"?{query}" if query else "")

    def _without_sessions(self, value: bytes) -> bytes:
        parts = (part.strip(b" \t") for part in value.split(b";"))
        return b"; ".join(part for part in parts if not part.lower().startswith(OWN_COOKIES))
