"""Cookies of applications: made anew from their parts, each application's under names of its own.

To a browser all applications of one host are one web site, and a path keeps only pages apart that are
honest: two people may serve under one name, now or after each other, and a cookie may be planted from
another host of the domain. So the name of each cookie tells who set it, and no application gets another's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import format_datetime, parsedate_to_datetime

from hypha.web.headers import is_token
from hypha.web.signing_in import OWN_COOKIES

MARK = b"app-"
MAX_COOKIE_BYTES = 4096
"""What browsers keep of one cookie."""
MAX_ATTRIBUTES = 20
"""Of one cookie that are read."""

_RESERVED = (*OWN_COOKIES, b"__host-", b"__secure-", b"__http-", b"__host-http-", MARK)
_OCTETS = rb"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"
# quoted values of Python's http.cookies hold spaces and backslashes
_VALUE = re.compile(_OCTETS + rb'|"[\x20\x21\x23-\x3a\x3c-\x7e]*"')
_PATH = re.compile(rb"/[\x20-\x3a\x3c-\x7e]*")
_AGE = re.compile(rb"-?[0-9]{1,12}")
_SAME_SITE = {b"strict": b"Strict", b"lax": b"Lax", b"none": b"None"}
_FLAGS = {b"httponly": b"HttpOnly", b"secure": b"Secure", b"partitioned": b"Partitioned"}
_MAX_DATE_BYTES = 64


def pairs_of(header: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and values of a request's cookies; what has no name is none."""
    for part in header.split(b";"):
        name, sign, value = part.strip(b" \t").partition(b"=")
        name = name.strip(b" \t")
        if sign and is_token(name):
            yield name, value.strip(b" \t")


def is_reserved(name: bytes) -> bool:
    """True for cookies that are the server's own, or that browsers treat as whole-host ones."""
    return name.lower().startswith(_RESERVED)


@dataclass(frozen=True, slots=True)
class AppCookies:
    """The cookies of one application as its visitor's browser holds them.

    `prefix` stands before their names in the browser alone. `root` is the mount's path and `folder` that
    of the request, both as the browser sent them.
    """

    prefix: bytes
    root: bytes
    folder: bytes

    @classmethod
    def of(cls, author: str, workspace: str, service: str, root: bytes, folder: bytes) -> AppCookies:
        """Those of a service that `author` registered, whichever client serves it."""
        words = "\0".join((author, workspace, service)).encode()
        mark = hashlib.sha256(words).hexdigest()[:20].encode()
        return cls(MARK + mark + b"-", _plain(root), _plain(folder))

    def received(self, pairs: Iterable[tuple[bytes, bytes]], others: Iterable[bytes]) -> bytes:
        """The `Cookie` field for the application: its own under their own names.

        `others` are names of further cookies that it may see; its own go before them.
        """
        own: dict[bytes, bytes] = {}
        foreign: dict[bytes, bytes] = {}
        allowed = set(others)
        for name, value in pairs:
            if name.startswith(self.prefix):
                own.setdefault(name[len(self.prefix) :], value)
            elif name in allowed:
                foreign.setdefault(name, value)
        return b"; ".join(b"%s=%s" % pair for pair in ({**foreign, **own}).items())

    def built_anew(self, line: bytes) -> bytes | None:
        """The value of a `Set-Cookie` field of the application; None for what is no cookie that it may set.

        Of the attributes those are kept that are known and well-formed; the path lies within the mount,
        and other sites' pages send the cookie only where the application says so (`SameSite=None`).
        """
        first, *rest = line.split(b";", MAX_ATTRIBUTES + 1)
        name, sign, value = first.partition(b"=")
        name, value = name.strip(b" \t"), value.strip(b" \t")
        is_fit = bool(sign) and is_token(name) and not is_reserved(name) and _VALUE.fullmatch(value)
        if not is_fit or len(name) + len(value) + len(self.prefix) > MAX_COOKIE_BYTES:
            return None
        given: dict[bytes, bytes] = {}
        for part in rest[:MAX_ATTRIBUTES]:
            key, _, content = part.partition(b"=")
            given[key.strip(b" \t").lower()] = content.strip(b" \t")
        return b"; ".join((self.prefix + name + b"=" + value, *self._attributes(given)))

    def _attributes(self, given: Mapping[bytes, bytes]) -> Iterator[bytes]:
        expires = _date(given.get(b"expires", b""))
        if expires:
            yield b"Expires=" + expires
        if _AGE.fullmatch(given.get(b"max-age", b"")):
            yield b"Max-Age=" + given[b"max-age"]
        yield b"Path=" + self._path(given.get(b"path", b""))
        yield b"SameSite=" + _SAME_SITE.get(given.get(b"samesite", b"").lower(), b"Lax")
        for key, word in _FLAGS.items():
            if key in given:
                yield word

    def _path(self, given: bytes) -> bytes:
        if not _PATH.fullmatch(given):
            return self.folder
        if given == self.root or given.startswith(self.root + b"/"):
            return given
        return self.root + given


def _plain(path: bytes) -> bytes:
    """A path in which nothing ends a cookie's attribute."""
    return re.sub(rb"[^!-:<-~]", lambda found: b"%%%02X" % found[0][0], path)


def _date(text: bytes) -> bytes | None:
    if not text or len(text) > _MAX_DATE_BYTES or not text.isascii():
        return None
    try:
        found = parsedate_to_datetime(text.decode())
        return format_datetime(
            found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC), usegmt=True
        ).encode()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
