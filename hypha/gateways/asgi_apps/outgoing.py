"""What goes out to a visitor: as HTTP and WebSocket allow it, whatever an application says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

from starlette.types import Message, Receive, Send

from hypha.errors import InvalidRequest
from hypha.web.bodies import until_left
from hypha.web.headers import Headers, is_token

logger = logging.getLogger(__name__)

NORMAL, FAILED = 1000, 1011
KNOWN_WITHIN_S = 1.0
MAX_REASON_BYTES = 123
"""What fits into a closing frame beside its code (RFC 6455, 5.5)."""

_BODYLESS = frozenset({204, 205, 304})
_UNSENDABLE = frozenset({1004, 1005, 1006, 1015})


def is_bodyless(status: int, method: str) -> bool:
    """True for an answer in which HTTP allows no content (RFC 9110, 6.4.1 and 15.3.6)."""
    return status in _BODYLESS or method == "HEAD"


class Outgoing:
    """`send` for an application.

    An answer that must have no content gets none, one with a length has that length, and closing codes
    are those that may be sent. What is sent after the visitor left goes nowhere, and is nobody's fault.

    `left` is set when the visitor has left, by whoever notices; `broke` says that sending showed it.
    """

    def __init__(self, send: Send, scope: MutableMapping[str, Any]) -> None:
        self._send = send
        self._method: str = scope.get("method", "")
        self._offered = frozenset(scope.get("subprotocols", ()))
        self._is_bodyless = False
        self._owed: int | None = None
        self.has_started = False
        self.broke = False
        self.left = asyncio.Event()

    async def __call__(self, message: Message) -> None:
        """Send one message.

        Raises:
            InvalidRequest: an answer does not have the length that it told, or a WebSocket is accepted
                with a protocol that was not offered.
        """
        if self.left.is_set():
            return
        shaped = _SHAPES[message["type"]](self, message)
        try:
            await self._send(shaped)
        except (OSError, RuntimeError) as error:  # the web server's ways to say that the socket is gone
            logger.debug("A visitor has left: %s", error)
            self.broke = True
            self.left.set()

    def _start(self, message: Message) -> Message:
        status, headers = message["status"], list(message.get("headers", ()))
        self._is_bodyless = is_bodyless(status, self._method)
        lengths = {value for name, value in headers if name == b"content-length"}
        if len(lengths) > 1:
            raise InvalidRequest("The application answered with more than one Content-Length.")
        if status in _BODYLESS:
            headers = [pair for pair in headers if pair[0] != b"content-length"]
            headers += [(b"content-length", b"0")] if status == 205 else []
        elif lengths and not self._is_bodyless:
            self._owed = int(lengths.pop())
        self.has_started = True
        return {**message, "headers": _once(headers, b"content-length")}

    def _body(self, message: Message) -> Message:
        if self._is_bodyless:
            return {**message, "body": b""}
        if self._owed is not None:
            self._owed -= len(message.get("body", b""))
            is_last = not message.get("more_body", False)
            if self._owed < 0 or (is_last and self._owed):
                raise InvalidRequest(
                    "The answer of the application is not as long as its Content-Length says."
                )
        return message

    def _accept(self, message: Message) -> Message:
        chosen = message.get("subprotocol")
        is_fit = chosen is None or (isinstance(chosen, str) and is_token(chosen.encode("latin-1", "replace")))
        if not is_fit or (chosen is not None and chosen not in self._offered):
            raise InvalidRequest("The application accepted a WebSocket with a protocol that was not offered.")
        self.has_started = True
        return message

    def _close(self, message: Message) -> Message:
        code, reason = message.get("code"), str(message.get("reason") or "")
        cut = reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore")
        return {**message, "code": sendable_code(code), "reason": cut}

    def _unchanged(self, message: Message) -> Message:
        return message


_SHAPES = {
    "http.response.start": Outgoing._start,
    "http.response.body": Outgoing._body,
    "websocket.accept": Outgoing._accept,
    "websocket.close": Outgoing._close,
    "websocket.send": Outgoing._unchanged,
}


def sendable_code(code: Any) -> int:
    """A closing code that may stand in a frame; 1000 for what may not (RFC 6455, 7.4)."""
    is_fit = isinstance(code, int) and (1000 <= code <= 1014 or 3000 <= code <= 4999)
    return code if is_fit and code not in _UNSENDABLE else NORMAL


async def until_gone(receive: Receive) -> None:
    """Wait until the web server knows too that the visitor has left; it complains of what is cut off else."""
    with suppress(TimeoutError):
        async with asyncio.timeout(KNOWN_WITHIN_S):
            await until_left(receive)


def _once(headers: Headers, name: bytes) -> Headers:
    """The headers with only the first line of a name."""
    first = next((index for index, pair in enumerate(headers) if pair[0] == name), None)
    return [pair for index, pair in enumerate(headers) if pair[0] != name or index == first]
