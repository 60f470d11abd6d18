"""Requests to S3 that are signed here: those for which its clients are too slow, or too careful."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import aiohttp

from hypha.errors import BackendUnavailable
from hypha.objects.s3.endpoint import RETRIES, RETRY_TIMEOUT_S, Endpoint
from hypha.objects.s3.failures import UNAVAILABLE, told
from hypha.objects.s3.signing import presigned

logger = logging.getLogger(__name__)

LIFE_S = 300.0
"""Of a signature: what is sent takes less."""
FULL = 507
FIRST_PAUSE_S = 0.1
"""Before something is tried again; each further pause is twice as long."""

Body = Callable[[], AsyncIterator[bytes] | bytes]
"""Makes a body, from its begin each time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the storage said; a redirect is an answer, too, and never followed."""

    status: int
    etag: str
    content: bytes


class Requests:
    """Sends requests, again after a pause where the storage failed.

    Args:
        clock: Unix seconds. monotonic: seconds.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._clock = clock
        self._monotonic = monotonic

    async def ask(
        self,
        endpoint: Endpoint,
        operation: str,
        method: str,
        key: str,
        query: Mapping[str, str],
        *,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request with the key of an endpoint.

        Without a body nothing is tried again after `RETRY_TIMEOUT_S`; a body may take longer to come.

        Args:
            operation: its name in the log.

        Raises:
            BackendUnavailable: there is no answer, or one of 500 or more but 507, again and again.
        """
        until = self._monotonic() + RETRY_TIMEOUT_S
        with told(key):
            for attempt in range(1, RETRIES + 1):
                url = presigned(endpoint, method, key, query, expires_in=LIFE_S, now=self._clock())
                try:
                    answer = await self._send(method, url, body, headers)
                    if answer.status < 500 or answer.status == FULL:
                        return answer
                    error: Exception = failed(operation, answer.status)
                except (aiohttp.ClientError, TimeoutError) as broken:
                    error = broken
                if attempt == RETRIES or (body is None and self._monotonic() >= until):
                    break
                await asyncio.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
            raise error

    async def _send(
        self, method: str, url: str, body: Body | None, headers: Mapping[str, str] | None
    ) -> Answer:
        data = None if body is None else body()
        asked = self._session.request(method, url, data=data, headers=headers, allow_redirects=False)
        async with asked as answer:
            return Answer(answer.status, answer.headers.get("ETag", ""), await answer.read())


def failed(operation: str, status: int) -> BackendUnavailable:
    """What the storage answered was not what it should; it is in the log."""
    logger.warning("S3 failed: %s: %d", operation, status)
    return BackendUnavailable(UNAVAILABLE)
