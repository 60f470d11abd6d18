"""Fetching the source of an app from the address that somebody gives: from hosts of the internet alone.

Whoever installs an app chooses the address, and the server stands where they do not: so it connects to
addresses that it has looked at itself, never to those of its own machine or network, whatever name or
redirect leads there. It sends no credential, and waits and reads for a bounded time and amount.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from urllib.parse import SplitResult, urljoin, urlsplit

import httpx

from hypha.errors import InvalidRequest, LimitReached
from hypha.features.apps.sources import MAX_SOURCE_CHARS, address_of
from hypha.networks import is_of_internet

TIMEOUT_S = 30.0
MAX_FETCHES = 32
MAX_FETCHES_PER_PARTY = 2
MAX_REDIRECTS = 5
_CONNECT_S = 10.0
_LOOKUP_THREADS = 4
_MOVED = frozenset({301, 302, 303, 307, 308})

LookUp = Callable[[str], Sequence[str]]


def look_up(host: str) -> list[str]:
    """The addresses of a host. It blocks."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class SourceFetcher:
    """Fetches texts by HTTPS. `look_up`, `is_allowed` and `tls` are others in tests alone."""

    def __init__(
        self,
        look_up: LookUp = look_up,
        is_allowed: Callable[[str], bool] = is_of_internet,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._look_up = look_up
        self._is_allowed = is_allowed
        self._tls = tls
        self._running: Counter[str] = Counter()
        self._threads = ThreadPoolExecutor(_LOOKUP_THREADS, "app-sources")

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def fetch(self, url: str, party: str) -> str:
        """The text at an address; `party` is whose turn it takes.

        Raises:
            InvalidRequest: it is no address of the internet, nobody answers there, or with something else
                than a text of the size of a source.
            LimitReached: the party, or all together, fetch too much at the same time.
        """
        async with self._place(party):
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    return await self._follow(url)
            except TimeoutError:
                raise InvalidRequest(
                    f"The source did not come within {TIMEOUT_S:g} s: {_shown(url)}"
                ) from None
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                raise InvalidRequest(
                    f"The source cannot be fetched ({type(error).__name__}): {_shown(url)}"
                ) from None

    @asynccontextmanager
    async def _place(self, party: str) -> AsyncIterator[None]:
        if self._running[party] >= MAX_FETCHES_PER_PARTY or self._running.total() >= MAX_FETCHES:
            raise LimitReached(
                "Too many sources are fetched at the same time: try again later.", retry_after_s=5
            )
        self._running[party] += 1
        try:
            yield
        finally:
            self._running[party] -= 1
            if not self._running[party]:
                del self._running[party]

    async def _follow(self, url: str) -> str:
        for _ in range(MAX_REDIRECTS + 1):
            _check(url)
            async with self._answer(urlsplit(url)) as answer:
                if answer.status_code not in _MOVED:
                    return await _text_of(answer, url)
                url = urljoin(url, answer.headers.get("location", ""))
        raise InvalidRequest(f"The source is led elsewhere more than {MAX_REDIRECTS} times: {_shown(url)}")

    @asynccontextmanager
    async def _answer(self, parts: SplitResult) -> AsyncIterator[httpx.Response]:
        """What a host answers, asked at an address that was looked at."""
        host = parts.hostname or ""
        address = await self._address(host)
        shown = f"[{address}]" if ":" in address else address
        port = f":{parts.port}" if parts.port else ""
        target = parts._replace(netloc=shown + port, fragment="").geturl()
        name = f"[{host}]" if ":" in host else host
        headers = {"Host": name + port, "Accept": "text/html, text/plain, */*", "Accept-Encoding": "identity"}
        timeout = httpx.Timeout(TIMEOUT_S, connect=_CONNECT_S)
        if self._tls is None:
            self._tls = await asyncio.to_thread(httpx.create_ssl_context)
        async with (
            httpx.AsyncClient(
                verify=self._tls, timeout=timeout, trust_env=False, follow_redirects=False
            ) as http,
            http.stream("GET", target, headers=headers, extensions={"sni_hostname": host}) as answer,
        ):
            yield answer

    async def _address(self, host: str) -> str:
        """An address of a host; all that it has are of the internet.

        Raises:
            InvalidRequest: one is not, or it has none: which of the two, only those inside may know.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, self._look_up, host)
        except (OSError, UnicodeError):
            found = []
        if not found or not all(map(self._is_allowed, found)):
            raise InvalidRequest(
                f"The internet has no host {_shown(host)}: sources are fetched from there alone."
            )
        return found[0]


def _check(url: str) -> None:
    address = address_of(url)
    if address is None or urlsplit(url).scheme != "https":
        raise InvalidRequest(f"Only secured https urls are allowed: {_shown(url)}")


async def _text_of(answer: httpx.Response, url: str) -> str:
    if answer.status_code != 200:
        raise InvalidRequest(f"The source cannot be fetched (status {answer.status_code}): {_shown(url)}")
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise InvalidRequest(f"The source comes in a coding that was not asked for: {_shown(url)}")
    data = bytearray()
    async for part in answer.aiter_raw():
        data += part
        if len(data) > MAX_SOURCE_CHARS:
            raise InvalidRequest(f"The source has more than {MAX_SOURCE_CHARS} bytes: {_shown(url)}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequest(f"The source is no text in UTF-8: {_shown(url)}") from None


def _shown(text: str) -> str:
    return text[:200]
