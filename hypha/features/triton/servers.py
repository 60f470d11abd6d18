"""The Triton servers and the one HTTP client that speaks to them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hypha.errors import BackendUnavailable, CallTimedOut, ConfigurationError, PermissionDenied

if TYPE_CHECKING:
    import httpx2

TIMEOUT_S = 60.0
MAX_CONNECTIONS = 200


class TritonServers:
    """Addresses of equal servers; each request goes to one of them at random.

    Raises:
        ConfigurationError: an address is not a URL, or the HTTP client is not installed.
    """

    def __init__(self, addresses: str) -> None:
        self.urls: Sequence[str] = [_checked(word) for word in addresses.split(",") if word.strip()]
        if not self.urls:
            raise ConfigurationError("--triton-servers names no server: give URLs separated by commas.")
        try:
            import httpx2
        except ImportError:
            raise ConfigurationError(
                "--triton-servers needs an HTTP client: pip install 'hypha-server[triton]'."
            ) from None
        self._errors = httpx2
        self.client: httpx2.AsyncClient = httpx2.AsyncClient(
            timeout=TIMEOUT_S, trust_env=False, limits=httpx2.Limits(max_connections=MAX_CONNECTIONS)
        )

    def choose(self, wanted: str | None = None) -> str:
        """The base URL of one server: the wanted one, as long as it is one of these.

        Raises:
            PermissionDenied: it is not; this server asks no others on a caller's behalf.
        """
        if wanted is None:
            return random.choice(self.urls)
        url = wanted.strip().rstrip("/")
        if url not in self.urls:
            raise PermissionDenied("Permission denied: this address is not one of the Triton servers.")
        return url

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[Any]:
        """Translate the client's errors into ours; the servers' addresses stay unknown."""
        try:
            yield self.client
        except self._errors.ConnectTimeout:
            raise BackendUnavailable("The Triton server cannot be reached.") from None
        except self._errors.TimeoutException:
            raise CallTimedOut(f"The Triton server did not answer within {TIMEOUT_S:g} s.") from None
        except (self._errors.TransportError, self._errors.InvalidURL):
            raise BackendUnavailable("The Triton server cannot be reached.") from None

    async def close(self) -> None:
        """Close all connections."""
        await self.client.aclose()


def _checked(word: str) -> str:
    url = word.strip().rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigurationError("--triton-servers takes http:// or https:// addresses, separated by commas.")
    return url
