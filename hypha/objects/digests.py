"""Digests of contents (sha-256) as callers write them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

from hypha.errors import InvalidRequest

_HEX = re.compile(r"[0-9a-fA-F]{64}")
_FIELD = re.compile(rb"sha-256=:([A-Za-z0-9+/=]+):")
_HEADERS = (b"content-digest", b"repr-digest")
"""RFC 9530: `sha-256=:<base64>:`."""
_OF_S3 = b"x-amz-checksum-sha256"
"""Base64 alone."""
_HEX_OF_S3 = b"x-amz-content-sha256"
"""In hex, or a word such as `UNSIGNED-PAYLOAD`."""


def checked_sha256(value: object) -> str | None:
    """The digest that a caller says a file has, in small hex letters; None if it says none.

    Raises:
        InvalidRequest: it is no digest.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise InvalidRequest("sha256 is a sha-256 in hex: 64 digits and letters a to f.")
    return value.lower()


def told_sha256(headers: Mapping[bytes, bytes]) -> str | None:
    """The digest that a request says its body has, in small hex letters; None if it says none.

    Raises:
        InvalidRequest: what it says is no digest.
    """
    for name in _HEADERS:
        if b"sha-256" in headers.get(name, b""):
            found = _FIELD.search(headers[name])
            return _from_base64(found[1] if found else b"", name)
    if _OF_S3 in headers:
        return _from_base64(headers[_OF_S3].strip(), _OF_S3)
    text = headers.get(_HEX_OF_S3, b"").decode("latin-1").strip()
    return text.lower() if _HEX.fullmatch(text) else None


def _from_base64(text: bytes, name: bytes) -> str:
    try:
        digest = base64.b64decode(text, validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != 32:
        raise InvalidRequest(f"The header {name.decode()} holds no sha-256 in base64.")
    return digest.hex()
