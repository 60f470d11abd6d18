"""Cookies of a request, read by their grammar (RFC 6265, 4.2.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hypha.errors import NotAuthenticated
from hypha.web.headers import is_token

_QUOTED = re.compile(rb'"[^"]*"')


def cookies_of(headers: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Names and values of all cookies in the order in which they were sent.

    What has no name, or one that is no token, is no cookie: `=access_token=x` and `access_token =x`
    are not taken for `access_token`.
    """
    found = []
    for part in headers.get(b"cookie", b"").split(b";"):
        name, equals, value = part.strip(b" \t").partition(b"=")
        if equals and is_token(name):
            found.append((name, value[1:-1] if _QUOTED.fullmatch(value) else value))
    return found


def credential_cookie(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    """The one value of a cookie that says who sends a request; None without it.

    Raises:
        NotAuthenticated: several were sent that differ: another host of this domain may have set one.
    """
    values = {value for key, value in cookies_of(headers) if key == name and value}
    if len(values) > 1:
        raise NotAuthenticated(
            f"Authentication error: the browser sent several {name.decode()} cookies that differ. "
            "Delete the cookies of this site and sign in again."
        )
    return values.pop().decode("latin-1") if values else None
