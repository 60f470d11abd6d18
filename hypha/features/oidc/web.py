"""Requests to sign-in providers: short, bounded, never to plain HTTP of another machine."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hypha.errors import BackendUnavailable, ConfigurationError
from hypha.networks import is_loopback

if TYPE_CHECKING:
    import httpx2
    from authlib.integrations.httpx_client import AsyncOAuth2Client

logger = logging.getLogger(__name__)

TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 512 * 1024


def require_packages() -> None:
    """Raise ConfigurationError unless the packages of the extra `oidc` are there."""
    try:
        import authlib.integrations.httpx_client  # noqa: F401
        import httpx2  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            "Signing in with a provider needs more packages: pip install 'hypha-server[oidc]'"
        ) from None


def is_safe_url(url: object) -> bool:
    """Whether secrets may be sent there: https, or http on this machine for trying things out."""
    if not isinstance(url, str) or not url.isprintable() or " " in url:
        return False
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    return parts.scheme == "http" and is_loopback(parts.hostname or "")


def unreachable(host: str) -> BackendUnavailable:
    """The error for a provider that does not answer as it should."""
    return BackendUnavailable(f"The sign-in provider {host} does not answer now. Try again in a few seconds.")


class ProviderWeb:
    """One HTTP client for all providers; certificates are loaded once, off the event loop."""

    def __init__(self) -> None:
        self._client: httpx2.AsyncClient | None = None
        self._trust: ssl.SSLContext | None = None
        self._lock = asyncio.Lock()

    async def trust(self) -> ssl.SSLContext:
        """The certificates that are believed."""
        async with self._lock:
            if self._trust is None:
                self._trust = await asyncio.to_thread(ssl.create_default_context)
            return self._trust

    async def client(self) -> httpx2.AsyncClient:
        """The client for everything but the exchange of a code."""
        import httpx2

        trust = await self.trust()
        if self._client is None:
            self._client = httpx2.AsyncClient(verify=trust, timeout=TIMEOUT_S, follow_redirects=False)
        return self._client

    async def oauth_client(self, **options: Any) -> AsyncOAuth2Client:
        """A client for one sign-in; close it."""
        from authlib.integrations.httpx_client import AsyncOAuth2Client

        return AsyncOAuth2Client(
            verify=await self.trust(),
            timeout=TIMEOUT_S,
            follow_redirects=False,
            code_challenge_method="S256",
            **options,
        )

    async def get_json(self, url: str, headers: Mapping[str, str] | None = None) -> Any:
        """Fetch a JSON document.

        Raises:
            BackendUnavailable: there is none, whatever the reason.
        """
        status, _, body = await self.send(
            "GET", url, headers={"accept": "application/json", **(headers or {})}
        )
        try:
            if status != 200:
                raise ValueError(f"status {status}")
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            logger.warning("%s gave no JSON document: %s", _shown(url), error)
            raise unreachable(_host(url)) from None

    async def get_object(self, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Fetch a JSON object; errors as `get_json`."""
        found = await self.get_json(url, headers)
        if not isinstance(found, dict):
            raise unreachable(_host(url))
        return found

    async def send(self, method: str, url: str, **options: Any) -> tuple[int, str, bytes]:
        """Send a request; returns status, content type and body.

        Raises:
            BackendUnavailable: no answer in time, or one that is too large.
        """
        import httpx2

        client = await self.client()
        try:
            async with asyncio.timeout(TIMEOUT_S), client.stream(method, url, **options) as answer:
                body = b""
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > MAX_ANSWER_BYTES:
                        raise unreachable(_host(url))
                return answer.status_code, answer.headers.get("content-type", ""), body
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError) as error:
            logger.warning("%s does not answer: %s", _shown(url), type(error).__name__)
            raise unreachable(_host(url)) from None

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2] or "that is configured"


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{_host(url)}{parts.path}"
