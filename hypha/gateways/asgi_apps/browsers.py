"""What keeps applications apart in a browser, to which all of them are one web site.

Two dangers: the page of one application acts with the session that its visitor has with this
server, and applications read each other's cookies. Against the first, pages of other people's
applications are put in a sandbox; against the second, see hypha.gateways.asgi_apps.cookies.
"""

from __future__ import annotations

from starlette.types import Message, Send

from hypha.gateways.asgi_apps.cookies import AppCookies
from hypha.web.caching import for_nobody_else
from hypha.web.headers import Headers
from hypha.web.sandbox import SANDBOX


def confining(send: Send, cookies: AppCookies, *, sandboxed: bool, is_authors: bool = False) -> Send:
    """`send` for an application: its cookies are its own, its pages in the sandbox if `sandboxed`.

    What its author gets for being the author (`is_authors`) reaches nobody else by way of a cache.
    """
    extra: Headers = [(b"content-security-policy", SANDBOX)] if sandboxed else []

    async def confined_send(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept"):
            headers = [pair for given in message.get("headers", ()) for pair in _confined(given, cookies)]
            if is_authors:
                headers = for_nobody_else(headers)
            message = {**message, "headers": [*headers, *extra]}
        await send(message)

    return confined_send


def _confined(pair: tuple[bytes, bytes], cookies: AppCookies) -> Headers:
    """A field as it is, but a cookie made anew, or left out."""
    if pair[0] != b"set-cookie":
        return [pair]
    line = cookies.built_anew(pair[1])
    return [] if line is None else [(pair[0], line)]
