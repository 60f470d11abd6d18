"""The Triton servers and the one HTTP client that speaks to them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hypha.errors import (
    BackendUnavailable,
    CallTimedOut,
    ConfigurationError,
    FrameTooLarge,
    PermissionDenied,
)

if TYPE_CHECKING:
    import httpx2

TIMEOUT_S = 60.0
_PLAIN = {"Accept-Encoding": "identity"}
"""What is counted is what comes: nothing can grow by being unpacked."""
MAX_CONNECTIONS = 200
EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a Triton server answered, read to its end."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class TritonServers:
    """Addresses of equal servers; each request goes to one of them at random.

    Args:
        max_answer_bytes: the largest answer that `ask` takes.

    Raises:
        ConfigurationError: an address is not a URL, or the HTTP client is not installed.
    """

    def __init__(self, addresses: str, max_answer_bytes: int) -> None:
        self._max_answer_bytes = max_answer_bytes
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
            timeout=TIMEOUT_S,
            trust_env=False,
            limits=httpx2.Limits(max_connections=MAX_CONNECTIONS),
            cookies=CookieJar(
                DefaultCookiePolicy(allowed_domains=[])
            ),  # what one caller gets is not another's
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

    async def ask(
        self, method: str, url: str, content: bytes | None = None, headers: Mapping[str, str] = EMPTY
    ) -> Answer:
        """One request and its whole answer.

        Raises:
            FrameTooLarge: the answer is larger than the limit.
            BackendUnavailable, CallTimedOut: as for `asking`.
        """
        async with (
            self.asking() as client,
            client.stream(method, url, content=content, headers={**headers, **_PLAIN}) as answer,
        ):
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > self._max_answer_bytes:
                    raise FrameTooLarge(
                        "The answer of the Triton server is larger than the limit of "
                        f"{self._max_answer_bytes} bytes: select fewer outputs, or send smaller inputs."
                    )
            return Answer(answer.status_code, answer.headers, bytes(body))

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
