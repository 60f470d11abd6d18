"""What is looked at in every request before anything is done for it, whatever server brought it here."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from hypha.errors import InvalidRequest
from hypha.web.headers import headers_of
from hypha.web.heads import (
    METHODS,
    check_cookies,
    check_head,
    check_host,
    check_offers,
    check_size,
    offers_upgrade,
)
from hypha.web.scope import SIZE_IS_CHECKED

_LOST = (
    "The request offers another protocol, and the HTTP server in front of this application dropped its "
    "body. Send it without an `Upgrade` field, as plain HTTP/1.1."
)


def check_request(scope: Scope, fields: Mapping[bytes, bytes], *, in_app: bool) -> None:
    """Refuse a request that breaks the grammar of HTTP, is too large, or is of a method that nothing takes.

    Args:
        in_app: it is for an application of a client, which may know more methods.

    Raises:
        InvalidRequest, HTTPException: with the reason.
    """
    check_head(scope, fields)
    if b"cookie" in fields:
        check_cookies(fields)
    if SIZE_IS_CHECKED not in scope:
        check_size(len(scope.get("raw_path") or b"") + len(scope.get("query_string", b"")), scope["headers"])
    if scope["method"] not in METHODS and not in_app:
        raise HTTPException(501, f"The method {scope['method']} is not known here.")
    if scope["path"] == "*" and scope["method"] != "OPTIONS":
        raise InvalidRequest("The target * stands for the whole server: only OPTIONS may be asked of it.")


def without_host(path: str) -> str:
    """The path of a target that names the host too (RFC 9112, 3.2.2), as some servers hand it on."""
    return path if path.startswith("/") or "://" not in path else urlsplit(path).path or "/"


def fault_of_handshake(scope: Scope) -> str | None:
    """Why a WebSocket is refused that doesn't say well which host it is for, or says too much."""
    try:
        check_size(0, scope["headers"])
        check_host(scope.get("http_version", ""), scope["headers"])
        check_cookies(headers_of(scope))
        check_offers(scope["headers"])
    except InvalidRequest as error:
        return error.message
    except HTTPException as error:
        return error.detail
    return None


def receiving(scope: Scope, fields: Mapping[bytes, bytes], receive: Receive) -> Receive:
    """`receive`, which says so when the body of the request was lost on its way here.

    uvicorn with httptools drops the body of a request that offers an upgrade.
    """
    if b"upgrade" not in fields:
        return receive
    is_announced = fields.get(b"content-length", b"").strip(b"0") != b"" or b"transfer-encoding" in fields
    if not is_announced or not offers_upgrade(scope["headers"]):
        return receive
    has_come = False

    async def checked() -> Message:
        nonlocal has_come
        message = await receive()
        has_come = has_come or bool(message.get("body"))
        if message["type"] == "http.request" and not message.get("more_body") and not has_come:
            raise InvalidRequest(_LOST)
        return message

    return checked


def answering(fields: Mapping[bytes, bytes], receive: Receive, send: Send) -> tuple[Receive, Send]:
    """`receive` and `send` of a request whose client waits to be told before it sends the body.

    Refused without having been told, it may send the body or not: nobody knows what comes next on the
    connection, which therefore ends (RFC 9110, 10.1.1).
    """
    if b"expect" not in fields:
        return receive, send
    is_told = False

    async def telling() -> Message:
        nonlocal is_told
        is_told = True
        return await receive()

    async def ending(message: Message) -> None:
        if message["type"] == "http.response.start" and not is_told:
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        await send(message)

    return telling, ending
