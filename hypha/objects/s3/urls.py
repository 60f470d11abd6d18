"""Signed addresses where files lie in S3: of the storage itself, or of this server in front of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from hypha.objects.checks import check_number
from hypha.objects.keys import check_key
from hypha.objects.local.urls import LocalUrls
from hypha.objects.s3.counting import Counting
from hypha.objects.s3.endpoint import Endpoint
from hypha.objects.s3.signing import presigned
from hypha.objects.urls import AS_ANNOUNCED, OWN, Reach, SignedUrls

DIRECT_LIFE_S = 3600.0
"""An address of the storage itself outlives the workspace for which it was made; of others than personal ones
it is good for so long at most."""


class S3Urls(SignedUrls):
    """See `SignedUrls`.

    What the storage would not check leads through this server: when a file ends, its digest, whether the
    workspace still is that for which an address of long life was made. So does an address whose base is none
    that the operator gave the storage.

    Args:
        own: makes addresses of this server. is_proxied: what somebody gets who doesn't say.
        is_read_only: addresses to write lead through this server, whatever somebody says.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        own: LocalUrls,
        counting: Counting,
        *,
        is_proxied: bool,
        is_read_only: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._endpoint = endpoint
        self._own = own
        self._counting = counting
        self._is_proxied = is_proxied
        self._is_read_only = is_read_only
        self._clock = clock

    async def get(
        self, key: str, *, expires_in: float, reach: Reach = AS_ANNOUNCED, filename: str = ""
    ) -> str:
        """See `SignedUrls`; an address of the storage itself takes GET alone."""
        if filename or await self._leads_here(check_key(key), expires_in, reach):
            return await self._own.get(key, expires_in=expires_in, reach=reach, filename=filename)
        return self._direct("GET", key, {}, expires_in, reach)

    async def put(
        self,
        key: str,
        *,
        expires_in: float,
        reach: Reach = AS_ANNOUNCED,
        max_bytes: int | None = None,
        sha256: str = "",
        ttl: float | None = None,
    ) -> str:
        """See `SignedUrls`; the storage itself does not look at `max_bytes`.

        Raises:
            QuotaExceeded: the workspace keeps too much already.
        """
        is_checked = bool(sha256) or ttl is not None or self._is_read_only
        if is_checked or await self._leads_here(check_key(key), expires_in, reach):
            return await self._own.put(
                key, expires_in=expires_in, reach=reach, max_bytes=max_bytes, sha256=sha256, ttl=ttl
            )
        self._counting.check(key)
        return self._direct("PUT", key, {}, expires_in, reach)

    async def part(
        self, key: str, upload: str, number: int, *, expires_in: float, reach: Reach = AS_ANNOUNCED,
        max_bytes: int | None = None,
    ) -> str:  # fmt: skip
        """See `SignedUrls`; the storage itself does not look at `max_bytes`.

        Raises:
            QuotaExceeded: the workspace keeps too much already.
        """
        check_number(number)
        if self._is_read_only or await self._leads_here(check_key(key), expires_in, reach):
            return await self._own.part(
                key, upload, number, expires_in=expires_in, reach=reach, max_bytes=max_bytes
            )
        self._counting.check(key)
        return self._direct("PUT", key, {"partNumber": str(number), "uploadId": upload}, expires_in, reach)

    async def _leads_here(self, key: str, expires_in: float, reach: Reach) -> bool:
        if (self._is_proxied if reach.proxied is None else reach.proxied) or not self._place(reach):
            return True
        return expires_in > DIRECT_LIFE_S and await self._own.generation_of(key) != OWN

    def _direct(self, method: str, key: str, query: dict[str, str], expires_in: float, reach: Reach) -> str:
        return presigned(
            self._endpoint, method, key, query, expires_in=expires_in, now=self._clock(),
            base=self._place(reach),
        )  # fmt: skip

    def _place(self, reach: Reach) -> str:
        """Where whoever asks finds the storage; empty if they name what the operator did not name as such.

        Host and path are signed with the server's own key, and name bucket and object: a caller who chose
        them would open what is another's.
        """
        endpoint = self._endpoint
        inside, outside = endpoint.url.rstrip("/"), (endpoint.public_url or endpoint.url).rstrip("/")
        if not reach.base:
            return inside if reach.is_local else outside
        return reach.base if reach.base in (inside, outside) else ""


def shown_place(endpoint: Endpoint) -> str:
    """The address of the bucket as others see it, without what may be secret in it."""
    parts = urlsplit(endpoint.public_url or endpoint.url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}/{endpoint.bucket}"
