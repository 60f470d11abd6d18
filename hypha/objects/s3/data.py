"""The client through which the bytes of objects go, and what is read with it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from obstore.store import S3Store

from hypha.errors import BackendUnavailable
from hypha.objects.s3.endpoint import CONNECT_TIMEOUT_S, REQUEST_TIMEOUT_S, RETRIES, RETRY_TIMEOUT_S, Endpoint
from hypha.objects.s3.failures import UNAVAILABLE, told
from hypha.objects.store import ObjectInfo, Reading

CHUNK_BYTES = 256 * 1024
"""At least so much comes at a time, but the last."""
_WHOLE_TRANSFER = timedelta(days=1)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


def data_client(endpoint: Endpoint) -> S3Store:
    """A client for one bucket; making one costs next to nothing."""
    with _environment(endpoint.heeds_proxies):
        return S3Store(
            endpoint.bucket,
            endpoint=endpoint.url,
            region=endpoint.region,
            access_key_id=endpoint.access_key_id,
            secret_access_key=endpoint.secret_access_key,
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": True,
                "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
                "read_timeout": timedelta(seconds=REQUEST_TIMEOUT_S),
                "timeout": _WHOLE_TRANSFER,
            },
            retry_config={
                "max_retries": RETRIES - 1,
                "retry_timeout": timedelta(seconds=RETRY_TIMEOUT_S),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=2),
                    "base": 2,
                },
            },
        )


@contextmanager
def _environment(heeds_proxies: bool) -> Iterator[None]:
    """The environment as the client finds it when it is made, which is when it looks for proxies."""
    hidden = {} if heeds_proxies else {name: os.environ[name] for name in _PROXIES if name in os.environ}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


class S3Reading(Reading):
    """An object, or a range of it, as it comes; `found` is what `obstore` answered to GET."""

    def __init__(self, found: Any, info: ObjectInfo) -> None:
        self.info = info
        self.start, self.stop = found.range
        self._found: Any = found

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `Reading`.

        Raises:
            BackendUnavailable: the storage gives up in the middle.
        """
        found, self._found = self._found, None
        left = self.stop - self.start
        if found is None or not left:
            return
        pieces = aiter(found.stream(min_chunk_size=CHUNK_BYTES))
        while True:
            with told(self.info.key):
                piece = await anext(pieces, None)
            if piece is None:
                break
            data = bytes(piece)
            left -= len(data)
            yield data
        if left:
            raise BackendUnavailable(UNAVAILABLE)

    async def close(self) -> None:
        """See `Reading`."""
        self._found = None


class EmptyReading(Reading):
    """Nothing of an object."""

    def __init__(self, info: ObjectInfo, at: int) -> None:
        self.info = info
        self.start = self.stop = at

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `Reading`."""
        nothing: tuple[bytes, ...] = ()
        for chunk in nothing:
            yield chunk

    async def close(self) -> None:
        """See `Reading`."""
