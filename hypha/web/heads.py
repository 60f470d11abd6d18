"""Heads of requests by the grammar of HTTP (RFC 9110, 9112) and of WebSocket handshakes (RFC 6455)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException

from hypha.errors import InvalidRequest

Pairs = Iterable[tuple[bytes, bytes]]

MAX_HEAD_BYTES = 64 * 1024
MAX_TARGET_BYTES = 60_000
MAX_HEAD_FIELDS = 500
MAX_COOKIES = 500
"""Browsers keep some 180 of one site."""
MAX_OFFERS = 100
MAX_OFFERS_BYTES = 8000
"""Protocols and extensions that a handshake offers; the library for WebSockets of applications is slow to
read them, and answers no longer line."""
_OFFERS = (b"sec-websocket-protocol", b"sec-websocket-extensions")
WEBSOCKET_VERSION = b"13"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""What routes of ours may take; applications of clients see every method."""
_KEY_BYTES = 16
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
LARGE_HEAD = (
    f"The head of the request is larger than {MAX_HEAD_BYTES // 1024} KiB: cookies may have piled up."
)


MANY_FIELDS = f"The request has more than {MAX_HEAD_FIELDS} header fields."


def values_of(pairs: Pairs, name: bytes) -> list[bytes]:
    """The values of all lines of a field."""
    return [value.strip(b" \t") for key, value in pairs if key == name]


def listed(pairs: Pairs, name: bytes) -> list[bytes]:
    """The members of a list-valued field over all its lines, in lower case (RFC 9110, 5.6.1)."""
    values = values_of(pairs, name)
    if len(values) == 1 and b"," not in values[0]:
        return [values[0].lower()] if values[0] else []
    parts = b",".join(values).split(b",")
    return [part.strip(b" \t").lower() for part in parts if part.strip(b" \t")]


def offers_upgrade(pairs: Pairs) -> bool:
    """True if a request offers to change the protocol (RFC 9110, 7.8)."""
    return b"upgrade" in listed(pairs, b"connection") and bool(listed(pairs, b"upgrade"))


def opens_websocket(method: str, version: str, pairs: Pairs) -> bool:
    """True if a request asks for a WebSocket; what else it offers doesn't matter.

    An offer of another method or of HTTP/1.0 is none.
    """
    return (
        method == "GET"
        and version == "1.1"
        and b"upgrade" in listed(pairs, b"connection")
        and b"websocket" in listed(pairs, b"upgrade")
    )


def without_offer(pairs: Pairs) -> list[tuple[bytes, bytes]]:
    """The fields of a request whose offer to change the protocol is not taken up."""
    kept = []
    for name, value in pairs:
        if name in (b"upgrade", b"http2-settings"):
            continue
        if name == b"connection":
            words = [word.strip(b" \t") for word in value.split(b",")]
            value = b", ".join(w for w in words if w.lower() not in (b"", b"upgrade", b"http2-settings"))
            if not value:
                continue
        kept.append((name, value))
    return kept


def check_websocket(pairs: Pairs) -> bytes:
    """Check a request for a WebSocket and return its key (RFC 6455, 4.2.1).

    Raises:
        HTTPException: 426 for another version of the protocol.
        InvalidRequest: the key is missing or malformed, or the request has a body.
    """
    lines: dict[bytes, list[bytes]] = {}
    for name, value in pairs:
        lines.setdefault(name, []).append(value.strip(b" \t"))
    versions, keys = lines.get(b"sec-websocket-version"), lines.get(b"sec-websocket-key", [])
    if not versions:
        raise InvalidRequest("The request for a WebSocket has no Sec-WebSocket-Version.")
    if versions != [WEBSOCKET_VERSION]:
        fields = {"Sec-WebSocket-Version": "13", "Upgrade": "websocket", "Connection": "Upgrade"}
        raise HTTPException(426, "Only version 13 of the WebSocket protocol is spoken here.", fields)
    if len(keys) != 1 or not _is_key(keys[0]):
        raise InvalidRequest("Sec-WebSocket-Key must be given once: 16 bytes as base64.")
    has_body = any(length.strip(b"0") for length in lines.get(b"content-length", ()))
    if has_body or b"transfer-encoding" in lines:
        raise InvalidRequest("A request for a WebSocket has no body.")
    return keys[0]


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False


def check_size(target_bytes: int, pairs: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse a head that is too large, or of too many fields.

    Raises:
        HTTPException: 414 for the target, 431 for the fields.
    """
    if target_bytes > MAX_TARGET_BYTES:
        raise HTTPException(414, f"The address is longer than {MAX_TARGET_BYTES} bytes.")
    if len(pairs) > MAX_HEAD_FIELDS:
        raise HTTPException(431, MANY_FIELDS)
    if target_bytes + sum(len(name) + len(value) + 4 for name, value in pairs) > MAX_HEAD_BYTES:
        raise HTTPException(431, LARGE_HEAD)


def check_offers(pairs: Pairs) -> None:
    """Refuse a handshake that offers too many protocols or extensions, or names them at too great length.

    Raises:
        HTTPException: 431.
    """
    lines = [value for name, value in pairs if name in _OFFERS]
    count = len(lines) + sum(line.count(b",") for line in lines)
    if count > MAX_OFFERS or sum(map(len, lines)) > MAX_OFFERS_BYTES:
        raise HTTPException(
            431,
            f"A handshake offers at most {MAX_OFFERS} protocols and extensions, in {MAX_OFFERS_BYTES} bytes.",
        )


def check_cookies(fields: Mapping[bytes, bytes]) -> None:
    """Refuse a request with too many cookies, which cost more to read than other bytes of a head.

    Raises:
        HTTPException: 431.
    """
    if fields.get(b"cookie", b"").count(b";") >= MAX_COOKIES:
        raise HTTPException(
            431, f"The request has more than {MAX_COOKIES} cookies: delete those of this site."
        )


def check_head(scope: Mapping[str, Any], fields: Mapping[bytes, bytes]) -> None:
    """Refuse requests that other programs on their way may have read in another way (RFC 9112, 3.2, 6.1).

    Args:
        fields: the fields by name, as `by_name` gives them.

    Raises:
        InvalidRequest: no `Host`, several, or a malformed one; a body that cannot be told from what follows.
        HTTPException: 417 for an expectation, 501 for a coding of the body that isn't understood.
    """
    version: str = scope.get("http_version", "")
    pairs = scope["headers"]
    if len(fields) == len(pairs):  # no field came twice
        host = fields.get(b"host")
        _check_hosts(version, [] if host is None else [host.strip(b" \t")])
    else:
        check_host(version, pairs)
    coding = fields.get(b"transfer-encoding")
    if coding is not None:
        if version == "1.0":
            raise InvalidRequest("HTTP/1.0 has no Transfer-Encoding.")
        if coding.strip(b" \t").lower() != b"chunked":
            raise HTTPException(501, "The only Transfer-Encoding understood here is chunked.")
    expected = fields.get(b"expect")
    if expected is not None and version == "1.1" and expected.strip(b" \t").lower() != b"100-continue":
        raise HTTPException(417, "The only expectation understood here is 100-continue.")


def check_host(version: str, pairs: Pairs) -> None:
    """Refuse a request that doesn't say once, well formed, which host it is for; HTTP/1.0 need not say it.

    Raises:
        InvalidRequest: with the reason.
    """
    _check_hosts(version, values_of(pairs, b"host"))


def _check_hosts(version: str, hosts: list[bytes]) -> None:
    if len(hosts) > 1:
        raise InvalidRequest("The header field host came more than once.")
    if not hosts:
        if version == "1.1":
            raise InvalidRequest("The request has no Host.")
    elif not _HOST.fullmatch(hosts[0]):
        raise InvalidRequest("The Host of the request is malformed.")
