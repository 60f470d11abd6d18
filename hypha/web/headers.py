"""Header fields by the grammar of HTTP: equal lines of a request, and fields that others wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from hypha.errors import InvalidRequest
from hypha.web.scope import HEADERS

Headers = list[tuple[bytes, bytes]]
Pairs = Iterable[tuple[bytes, bytes]]

MAX_FIELDS = 200
MAX_FIELDS_BYTES = 128 * 1024
"""Of all fields of one answer; few clients read as much."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_OWN = frozenset(
    {
        # they belong to the connection between two programs (RFC 9110, 7.6.1)
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authentication-info",
        b"proxy-authorization", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
        b"http2-settings", b"alt-svc", b"alt-used",
        # they hold for the whole host in a browser, not for one page
        b"accept-ch", b"clear-site-data", b"critical-ch", b"expect-ct", b"nel", b"origin-agent-cluster",
        b"public-key-pins", b"public-key-pins-report-only", b"report-to", b"reporting-endpoints",
        b"service-worker-allowed", b"set-cookie2", b"set-login", b"strict-transport-security",
        b"use-as-dictionary",
        # they are orders to a reverse proxy in front of this server
        b"x-sendfile", b"x-lighttpd-send-file", b"x-lighttpd-send-tempfile", b"x-reproxy-url",
        # whose pages may read an answer is said by this server
        b"access-control-allow-origin", b"access-control-allow-credentials",
    }
)  # fmt: skip
_SINGLE = frozenset(
    {
        b"authorization", b"proxy-authorization", b"x-local-auth", b"host", b"origin", b"referer",
        b"content-length", b"content-type", b"content-location", b"content-range", b"date", b"from",
        b"if-modified-since", b"if-range", b"if-unmodified-since", b"max-forwards", b"range", b"user-agent",
        b"access-control-request-method", b"upgrade-insecure-requests", b"x-request-id", b"traceparent",
        b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site", b"sec-fetch-user",
        b"sec-websocket-key", b"sec-websocket-version",
    }
)  # fmt: skip
_PASSWORD_SCHEMES = re.compile(rb"\b(?:basic|digest|hoba|mutual|negotiate|ntlm|scram)\b", re.I)
_OWN_PREFIXES = (
    b"sec-",
    b"proxy-",
    b"x-hypha-",
    b"x-ratelimit-",
    b"x-storage-",
    b"x-accel-redirect",
    b"x-accel-limit-rate",
)


def is_token(name: bytes) -> bool:
    """True for what may be the name of a field or cookie (RFC 9110, 5.6.2)."""
    return _TOKEN.fullmatch(name) is not None


def checked(pairs: Pairs) -> Headers:
    """Fields that somebody else wrote: names in lower case, values without white space around them.

    Raises:
        ValueError: a name is no token, a value holds a control character, or there are too many or too
            long ones.
    """
    fields: Headers = []
    left_bytes = MAX_FIELDS_BYTES
    for name, value in pairs:
        left_bytes -= len(name) + len(value)
        if left_bytes < 0:
            raise ValueError(f"The header fields are longer than {MAX_FIELDS_BYTES} bytes.")
        value = value.strip(b" \t")
        if not is_token(name) or _CONTROL.search(value):
            raise ValueError("A header field is malformed.")
        fields.append((name.lower(), value))
        if len(fields) > MAX_FIELDS:
            raise ValueError(f"There are more than {MAX_FIELDS} header fields.")
    return fields


def fields_of(value: Any) -> Headers:
    """The fields that a function answered with: a map or pairs, of text or bytes or lists of them.

    Raises:
        ValueError: they are none, or malformed; see `checked`.
    """
    try:
        return checked(_pairs_in(value))
    except TypeError:
        raise ValueError("The header fields are neither a map nor pairs.") from None


def _pairs_in(value: Any) -> Iterator[tuple[bytes, bytes]]:
    """One by one, so that those behind the last that may be are not looked at."""
    for name, content in value.items() if isinstance(value, Mapping) else value or ():
        for part in content if isinstance(content, list) else (content,):
            yield _as_bytes(name), _as_bytes(part)


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, list | tuple | Mapping):  # they are no text, and may be large
        raise TypeError
    return value if isinstance(value, bytes) else str(value).encode("latin-1")


def is_ours(name: bytes, value: bytes) -> bool:
    """True for a field of an answer that is this server's own: what somebody else says there is dropped.

    So is a challenge that makes browsers ask for a password in this host's name.
    """
    if name == b"www-authenticate":
        return _PASSWORD_SCHEMES.search(value) is not None
    return name in _OWN or name.startswith(_OWN_PREFIXES)


def headers_of(scope: MutableMapping[str, Any]) -> dict[bytes, bytes]:
    """The fields of a request by name, found once per request; see `by_name`."""
    known: dict[bytes, bytes] | None = scope.get(HEADERS)
    if known is None:
        known = scope[HEADERS] = by_name(scope["headers"])
    return known


def by_name(pairs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The fields of a request by name; equal lines are one list, as RFC 9110 (5.3) joins them.

    Raises:
        InvalidRequest: a field that comes once was sent with different values.
    """
    pairs = list(pairs)
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    lines: dict[bytes, list[bytes]] = {}
    for name, value in pairs:
        lines.setdefault(name, []).append(value)
    for name, values in lines.items():
        if name not in _SINGLE:
            found[name] = (b"; " if name == b"cookie" else b", ").join(values)
        elif any(value != values[0] for value in values):
            raise InvalidRequest(
                f"The header field {name.decode('latin-1')} came twice with different values."
            )
    return found
