"""What an application sends as its answer, written with less ado than uvicorn does, where it comes whole.

Most answers have a length, a handful of plain fields and one piece of a body. All others are uvicorn's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator, MutableMapping
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent

_PLAIN = frozenset(
    {
        b"cache-control", b"content-encoding", b"content-length", b"content-type", b"date", b"etag",
        b"last-modified", b"server", b"vary", b"x-content-type-options", b"x-json-values",
        b"x-ratelimit-limit", b"x-ratelimit-remaining",
    }
)  # fmt: skip
"""Fields that say nothing about the connection."""
_ALLOWED = bytes(byte for byte in range(256) if byte == 0x09 or (byte >= 0x20 and byte != 0x7F))
"""What may stand in a field (RFC 9110, 5.5); the rest are control characters."""


class _Done:
    """What is awaited for something that has happened already."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        return iter(())  # type: ignore[return-value]


_DONE = _Done()


def _starts_plainly(cycle: RequestResponseCycle, message: MutableMapping[str, Any]) -> bool:
    """Write the head of an answer, if it is one of those that are made here."""
    pairs = [*cycle.default_headers, *message.get("headers", ())]
    fields = dict(pairs)
    length = fields.get(b"content-length")
    if (
        length is None
        or len(fields) != len(pairs)
        or not _PLAIN.issuperset(fields)
        or not cycle.keep_alive
        or cycle.access_log
        or cycle.chunked_encoding is not None
        or not length.isdigit()
    ):
        return False
    text = b"\r\n".join(map(b": ".join, pairs))
    if len(text.translate(None, _ALLOWED)) != 2 * len(pairs) - 2:  # what is between the lines, nothing else
        return False
    cycle.response_started, cycle.waiting_for_100_continue = True, False
    cycle.chunked_encoding, cycle.expected_content_length = False, int(length)
    cycle.transport.write(b"".join((STATUS_LINE[message["status"]], text, b"\r\n\r\n")))
    return True


def _ends_plainly(cycle: RequestResponseCycle, message: MutableMapping[str, Any]) -> bool:
    """Write a whole body, if it is as long as was said."""
    body = message.get("body", b"")
    if (
        cycle.response_complete
        or cycle.chunked_encoding
        or message.get("more_body")
        or len(body) != cycle.expected_content_length
        or not cycle.keep_alive
        or cycle.scope["method"] == "HEAD"
    ):
        return False
    cycle.transport.write(body)
    cycle.expected_content_length, cycle.response_complete = 0, True
    cycle.message_event.set()
    cycle.on_response()
    return True


class PlainCycle(RequestResponseCycle):
    """A request and its answer. uvicorn makes objects of its own class, which become of this one."""

    _is_read = False
    """Whether somebody has been given, or waits for, a part of the body."""

    def receive(self) -> Coroutine[Any, Any, ASGIReceiveEvent]:
        """Await the next message for the application."""
        self._is_read = True
        return super().receive()

    def take_body(self) -> bytes | None:
        """The whole body of the request, if it has come to its end and nobody was given any of it."""
        came = self.message_event
        if self._is_read or self.more_body or self.disconnected or self.response_complete:
            return None
        if self.waiting_for_100_continue or self.flow.read_paused:
            return None  # `receive` does what is due then
        self._is_read = True
        came.clear()
        body, self.body = bytes(self.body), bytearray()
        return body

    def send(self, message: MutableMapping[str, Any]) -> Awaitable[None]:  # type: ignore[override]
        """Take a message of the application."""
        if not (self.disconnected or self.flow.write_paused):
            if not self.response_started:
                if message["type"] == "http.response.start" and _starts_plainly(self, message):
                    return _DONE
            elif message["type"] == "http.response.body" and _ends_plainly(self, message):
                return _DONE
        return RequestResponseCycle.send(self, message)  # type: ignore[arg-type]
