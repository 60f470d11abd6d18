"""Reading request bodies: bounded, and decompressed within the same bound."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from starlette.types import Message, Receive

from hypha.errors import FrameTooLarge, HyphaError, InvalidRequest, UnsupportedContent
from hypha.web.uploads import keep

_GZIP_WINDOW = 31


class ClientLeft(HyphaError):
    """The client closed the connection before its request was complete; there is nobody to tell."""

    code, status = "client_left", 499


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """The whole body, decoded from gzip if so sent; at most `limit` bytes either way.

    Raises:
        FrameTooLarge: it is larger.
        UnsupportedContent: another content encoding.
        InvalidRequest: broken gzip data, or the body came too slowly.
        LimitReached: too many bodies are unfinished.
        ClientLeft: the connection ended before the body did.
    """
    length = headers.get(b"content-length")
    if length is not None and length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    message = await _next_part(receive)
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        body = await _read_rest(receive, body, limit)
    if len(body) > limit:
        raise _too_large(limit)
    encoding = headers.get(b"content-encoding")
    return _decode(body, encoding, limit) if encoding and body else body


async def _next_part(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientLeft
    return message


async def _read_rest(receive: Receive, first: bytes, limit: int) -> bytes:
    parts, size, more = [first], len(first), True
    keep(receive, size)
    while more:
        message = await _next_part(receive)
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        keep(receive, len(part))
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def _decode(body: bytes, encoding: bytes, limit: int) -> bytes:
    name = encoding.strip().lower()
    if name == b"identity":
        return body
    if name not in (b"gzip", b"x-gzip"):
        shown = name[:40].decode("latin-1")
        raise UnsupportedContent(f"Content-Encoding {shown!r} is not understood: send gzip or none.")
    decoder = zlib.decompressobj(_GZIP_WINDOW)
    try:
        plain = decoder.decompress(body, limit + 1)
    except zlib.error:
        raise InvalidRequest("Invalid request body: the gzip data is damaged.") from None
    if len(plain) > limit:
        raise _too_large(limit)
    if not decoder.eof:
        raise InvalidRequest("Invalid request body: the gzip data is cut off.")
    return plain


def _too_large(limit: int) -> FrameTooLarge:
    return FrameTooLarge(f"The request body is larger than the limit of {limit} bytes.")
