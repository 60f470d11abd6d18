"""Bodies of calls: decompressed within the bound that holds for the body as it was sent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from starlette.types import Receive

from hypha.errors import FrameTooLarge
from hypha.gateways.http.codings import LARGEST_RATIO, codings_of, gunzip
from hypha.web.bodies import read_whole, too_large
from hypha.web.workbench import Holding

SMALL_BYTES = 64 * 1024
"""A body of this size is read and parsed on the spot; more is held on the caller's account."""
_QUICK_BYTES = 256 * 1024
"""So much is decompressed on the spot, in less than a millisecond."""


def has_body(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request says that it has a body."""
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0").strip(b"0") != b""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limit: int, holding: Holding) -> bytes:
    """The whole body, decoded from gzip if so sent; at most `limit` bytes either way.

    Raises:
        FrameTooLarge: it is larger.
        UnsupportedContent: another content encoding.
        InvalidRequest: broken gzip data, or the body came too slowly.
        LimitReached: too many bodies are unfinished.
        RateLimited: the caller's other large bodies leave no room.
        ClientLeft: the connection ended before the body did.
    """
    times = codings_of(headers.get(b"content-encoding"))
    length = headers.get(b"content-length")
    expected = int(length[:20]) if length is not None and length.isdigit() else 0
    if expected > limit:
        raise too_large(limit)
    body = await read_whole(receive, limit)
    for _ in range(times if body else 0):
        body = await _opened(body, limit, holding)
    return body


async def _opened(body: bytes, limit: int, holding: Holding) -> bytes:
    """The body without one coding; on the spot if little comes out."""
    if len(body) <= SMALL_BYTES:
        try:
            return gunzip(body, min(limit, _QUICK_BYTES))
        except FrameTooLarge:
            if limit <= _QUICK_BYTES:
                raise
    await holding.grow(len(body) + min(limit, LARGEST_RATIO * len(body)))
    plain = await holding.work(partial(gunzip, body, limit))
    holding.shrink(len(plain))
    return plain
