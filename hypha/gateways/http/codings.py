"""Content codings of request bodies: gzip, counted as it is opened."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from hypha.errors import FrameTooLarge, InvalidRequest, UnsupportedContent

ACCEPTED = "gzip"
MAX_CODINGS = 2
MAX_MEMBERS = 10_000
LARGEST_RATIO = 1032
"""Deflate makes at most so many bytes of one."""

_GZIP_WINDOW = 31
_ZIP_LEVEL = 1
_MAGIC = b"\x1f\x8b"
_FED_BYTES = 64 * 1024
_MADE_BYTES = 256 * 1024


def codings_of(header: bytes | None) -> int:
    """How often a body was packed with gzip, by its `Content-Encoding`.

    Raises:
        UnsupportedContent: another coding, or too many.
    """
    if not header:
        return 0
    words = [word.strip().lower() for word in header[:200].split(b",")]
    names = [word for word in words if word not in (b"", b"identity")]
    for name in names:
        if name not in (b"gzip", b"x-gzip"):
            shown = name[:40].decode("latin-1")
            raise UnsupportedContent(
                f"Content-Encoding {shown!r} is not understood: send gzip or none.", accept_encoding=ACCEPTED
            )
    if len(names) > MAX_CODINGS or len(header) > 200:
        raise UnsupportedContent(
            f"The body is packed more than {MAX_CODINGS} times.", accept_encoding=ACCEPTED
        )
    return len(names)


def gunzip(data: bytes, limit: int) -> bytes:
    """Open gzip data of one or several members; at most `limit` bytes come out. Many: in a thread.

    Raises:
        FrameTooLarge: there are more. InvalidRequest: it is damaged, cut off, or followed by something else.
    """
    return b"".join(_opened(data, limit))


def _opened(data: bytes, limit: int) -> Iterable[bytes]:
    view, at, made, members = memoryview(data), 0, 0, 0
    while at < len(data):
        members += 1
        if bytes(view[at : at + 2]) != _MAGIC or members > MAX_MEMBERS:
            raise _damaged("it is no gzip" if members == 1 else "there is something behind the gzip data")
        decoder = zlib.decompressobj(_GZIP_WINDOW)
        while not decoder.eof:
            fed = decoder.unconsumed_tail
            if not fed:
                fed = bytes(view[at : at + _FED_BYTES])
                at += len(fed)
            try:
                part = decoder.decompress(fed, min(_MADE_BYTES, limit - made + 1))
            except zlib.error:
                raise _damaged("the gzip data is damaged") from None
            if not fed and not part and not decoder.eof:
                raise _damaged("the gzip data is cut off")
            made += len(part)
            if made > limit:
                raise FrameTooLarge(f"The request body is larger than the limit of {limit} bytes.")
            yield part
        at -= len(decoder.unused_data)


def accepts_gzip(header: bytes | None) -> bool:
    """Whether an `Accept-Encoding` names gzip, and not with a weight of nothing."""
    for part in (header or b"")[:1000].lower().split(b","):
        name, _, weight = part.replace(b" ", b"").partition(b";q=")
        if name in (b"gzip", b"x-gzip"):
            return not weight or weight.strip(b"0.") != b""
    return False


def zip_pieces(pieces: Iterable[bytes]) -> list[bytes]:
    """A body in pieces, packed with gzip; for a thread."""
    packer = zlib.compressobj(_ZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    packed = [
        packer.compress(piece[at : at + _MADE_BYTES])
        for piece in pieces
        for at in range(0, len(piece), _MADE_BYTES)
    ]
    return [*filter(None, packed), packer.flush()]


def _damaged(what: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid request body: {what}.")
