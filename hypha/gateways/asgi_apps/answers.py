"""Plain text answers of the mounts, and checks of what an application sends."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from starlette.types import Send

from hypha.errors import CallFailed, CallTimedOut, HyphaError
from hypha.gateways.http.errors import MAX_DETAIL_CHARS
from hypha.web.cors import SANDBOXED
from hypha.web.errors import error_answer
from hypha.web.function_pages import given_fields
from hypha.web.headers import Headers, is_ours
from hypha.wire.tracebacks import raised_in

logger = logging.getLogger(__name__)

_CROSS_ORIGIN = (b"access-control-allow-origin", b"access-control-allow-credentials")


async def send_text(send: Send, status: int, text: str, extra: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Answer with one sentence of plain text."""
    body = text.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_error(
    send: Send, error: BaseException, scope: MutableMapping[str, Any], *, expose: bool = False
) -> None:
    """Answer with the sentence of an error; what an application raised is a 500."""
    if isinstance(error, CallFailed):
        text = f"Internal Server Error: {failure_text(error, expose)}"
        await send_text(send, 500, text)
        return
    answer = error_answer(error, scope)
    text = error.message if isinstance(error, HyphaError) else "Internal Server Error"
    if isinstance(error, CallTimedOut):
        text = "The application did not answer in time."
    await send_text(send, answer.status, text, answer.headers)


def failure_text(error: CallFailed, expose: bool) -> str:
    """`<Type>: <message>` of what the application raised; its traceback only where that is switched on."""
    if expose:
        return error.trace or error.message
    kind, message = raised_in(error)
    shown = message[:MAX_DETAIL_CHARS]
    return f"{kind}: {shown}" if kind else shown


def as_headers(value: Any, *, keep_length: bool = False) -> Headers:
    """Headers of an answer, from pairs or a map of text or bytes; those of the server's own are dropped.

    Raises:
        InvalidRequest: a name or a value is not what HTTP allows there.
    """
    return [pair for pair in given_fields(value) if _is_kept(pair, keep_length)]


def names_origin(value: Any, scope: Mapping[str, Any]) -> bool:
    """True if an application's headers let pages of the asking origin, and of no others, use its cookies."""
    given = {name: content for name, content in given_fields(value) if name in _CROSS_ORIGIN}
    asking = next((content for name, content in scope["headers"] if name == b"origin"), b"")
    origin, credentials = (given.get(name, b"") for name in _CROSS_ORIGIN)
    return bool(asking) and asking != SANDBOXED and origin == asking and credentials == b"true"


def _is_kept(pair: tuple[bytes, bytes], keep_length: bool) -> bool:
    name, content = pair
    if name == b"content-length":
        return keep_length and content.isdigit()
    return not is_ours(name, content)


def mounted_location(headers: Headers, scope: MutableMapping[str, Any], root_path: str, path: str) -> Headers:
    """Headers with the mount put before a redirect that only adds or takes the path's last slash.

    Frameworks make that redirect from the path that they see, which is relative to the mount.
    """
    slashed = {path + "/", path.rstrip("/") or "/"} - {path}
    host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
    moved = []
    for name, value in headers:
        if name == b"location":
            parts = urlsplit(value.decode("latin-1"))
            if parts.netloc in ("", host) and parts.path in slashed:
                value = urlunsplit(parts._replace(path=root_path + parts.path)).encode("latin-1")
        moved.append((name, value))
    return moved
