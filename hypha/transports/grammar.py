"""uvicorn's HTTP protocol, held to the grammar of HTTP where httptools or uvicorn are not.

An offer to change the protocol that is not taken up is passed over (RFC 9110, 7.8), a request that cannot
be read is answered after those before it, clients of HTTP/1.0 get no chunks, and who has sent all that
they have to say still hears the answers.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
from functools import partial
from typing import Any, ClassVar, Self
from urllib.parse import unquote

import httptools
from starlette.exceptions import HTTPException
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from hypha.errors import HyphaError, InvalidRequest
from hypha.transports.answers import PlainCycle
from hypha.transports.file_sending import send_file
from hypha.transports.one_write import OneWrite
from hypha.web.errors import error_answer
from hypha.web.heads import (
    MANY_FIELDS,
    MAX_HEAD_BYTES,
    MAX_HEAD_FIELDS,
    MAX_TARGET_BYTES,
    METHODS,
    check_host,
    check_offers,
    check_size,
    check_websocket,
    opens_websocket,
    without_offer,
)
from hypha.web.scope import BODY_IS_HERE, FILE_SENDER, SIZE_IS_CHECKED

logger = logging.getLogger(__name__)

LINGER_S = 2.0
LINGER_BYTES = 1024 * 1024
"""Read and dropped after a refusal: closing a socket with unread bytes makes the system drop the answer."""
MAX_APP_TARGET_BYTES = 8000
"""The library for WebSockets of applications takes no longer line."""
_ABSOLUTE = re.compile(rb"(?:https?|wss?)://", re.I)
_METHOD = re.compile(rb"\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ")
_UNREADABLE = InvalidRequest("The request is malformed: it breaks the grammar of HTTP/1.1.")
_PROBE_AFTER_S = 15
WARN_EACH_S = 1.0


class _UntilClose(int):
    """The length of a body that ends with the connection (RFC 9112, 6.3): never used up, never short."""

    def __sub__(self, _size: int) -> Self:
        return self

    def __lt__(self, _size: int) -> bool:
        return False


class Seldom:
    """Says when something that happens as often as strangers like may be done again."""

    __slots__ = ("_due", "_pause_s")

    def __init__(self, pause_s: float) -> None:
        self._due, self._pause_s = float("-inf"), pause_s
        """When it may be done again (s, loop time), and how long it pauses then (s)."""

    def is_due(self, now: float) -> bool:
        """True at most once in a pause."""
        if now < self._due:
            return False
        self._due = now + self._pause_s
        return True


class GrammarProtocol(HttpToolsProtocol):
    """The protocol; a request for a WebSocket ends in `open_websocket`."""

    warnings: ClassVar[Seldom]
    """When a limit may be logged as a warning again, for all connections together."""
    _is_handshake = _is_passed_over = False
    """Of the present request: it asks for a WebSocket; it has an offer that is not taken up."""
    _came_bytes = _head_at_most = 0
    """Of the last read, and of all reads since the request began: its head is no larger."""
    _problem: HyphaError | HTTPException | None = None
    """What is wrong with the present request; the parser turns the error into one of its own."""
    _last_words: bytes | None = None
    """The refusal of a request that waits for the answers before it."""
    _drops_left: int | None = None
    """How many bytes more are read and dropped; None as long as nothing was refused."""
    _linger_timer: Any = None
    """Closes the connection after a refusal."""
    _answers: OneWrite | None = None
    """Writes all answers of the connection; None before the first."""
    key = b""
    """Of a request for a WebSocket."""

    # -- what is read

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        self._came_bytes = len(data)
        self._head_at_most += self._came_bytes
        self._unset_keepalive_if_required()
        if self._drops_left is not None:
            self._drop(len(data))
            return
        rest = memoryview(data)
        try:
            while rest and self._drops_left is None:
                rest = self._parse(rest)
        except httptools.HttpParserError as error:
            self.refuse(self._problem or _fault_of(error, data))

    def _parse(self, data: memoryview) -> memoryview:
        """Give bytes to the parser, which stops behind an offer to change the protocol; return the rest.

        It reads no body of a request with such an offer, so the head is given to a new one without it.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            rest = data[stop.args[0] :]
            if self._is_passed_over:
                self._read_again()
                return rest
            self._open(bytes(rest))
        return data[:0]

    def _read_again(self) -> None:
        line = b"%b %b HTTP/%b\r\n" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        fields = [b"%b: %b\r\n" % pair for pair in without_offer(self.headers)]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"".join((line, *fields, b"\r\n")))

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head_at_most = self._came_bytes
        self._is_handshake = self._is_passed_over = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head came, or of the trailer.

        It is called for every field, so it does itself what the method of the base does.
        """
        headers = self.headers
        if len(headers) >= MAX_HEAD_FIELDS:
            self._problem = HTTPException(431, MANY_FIELDS)
            raise self._problem
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head of a request is complete."""
        try:
            if self._head_at_most > MAX_HEAD_BYTES or len(self.url) > MAX_TARGET_BYTES:
                check_size(len(self.url), self.headers)
            version = self.parser.get_http_version()
            if version not in ("1.0", "1.1"):
                raise HTTPException(505, "The versions of HTTP spoken here are 1.1 and 1.0.")
            method = self.parser.get_method().decode("ascii")
            if method == "CONNECT":
                raise HTTPException(501, "This server is no proxy: it takes no CONNECT.")
            if self.parser.should_upgrade():
                self._is_handshake = opens_websocket(method, version, self.headers)
                self._is_passed_over = not self._is_handshake
            if not self._is_passed_over:
                self._read_target()
        except (HyphaError, HTTPException) as error:
            self._problem = error
            raise
        if self._is_handshake:
            self.scope["method"] = method
        elif not self._is_passed_over:
            self.scope[SIZE_IS_CHECKED] = True  # type: ignore[literal-required]
            super().on_headers_complete()

    def _read_target(self) -> None:
        """Turn a target that names the host into one that doesn't; the host there wins (RFC 9112, 3.2.2)."""
        if self.url.startswith(b"/") or self.url == b"*":
            return
        try:
            parts = httptools.parse_url(self.url)
        except httptools.HttpParserInvalidURLError:
            parts = None
        if parts is None or not parts.host or not _ABSOLUTE.match(self.url):
            raise InvalidRequest("The address in the request is malformed.")
        check_host(self.parser.get_http_version(), self.headers)
        host = parts.host if b":" not in parts.host else b"[%b]" % parts.host
        host += b":%d" % parts.port if parts.port is not None else b""
        self.url = (parts.path or b"/") + (b"?" + parts.query if parts.query is not None else b"")
        self.headers[:] = [(b"host", host), *(pair for pair in self.headers if pair[0] != b"host")]

    def on_body(self, body: bytes) -> None:
        """Part of a body came. The first since somebody took what there was is kept without copies of it."""
        if self._is_handshake:
            return
        cycle: Any = self.cycle
        if cycle.body or cycle.response_complete:
            if isinstance(cycle.body, bytes):
                cycle.body = bytearray(cycle.body)
            super().on_body(body)
            return
        cycle.body = body
        if len(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """A request is complete."""
        if not self._is_handshake and not self._is_passed_over:
            self.scope[BODY_IS_HERE] = True  # type: ignore[literal-required]
            super().on_message_complete()

    def _should_upgrade(self) -> bool:
        return self._is_handshake

    # -- WebSockets

    def _open(self, rest: bytes) -> None:
        try:
            if self.cycle is not None and not self.cycle.response_complete:
                raise InvalidRequest(
                    "A WebSocket cannot be asked for behind a request without an answer yet."
                )
            check_host("1.1", self.headers)
            self.key = check_websocket(self.headers)
            path, _, query = self.url.partition(b"?")
            self.open_websocket(unquote(path.decode("latin-1")), query, rest)
        except (HyphaError, HTTPException) as error:
            self.refuse(error)

    def open_websocket(self, path: str, query: bytes, rest: bytes) -> None:
        """Hand the socket over to another protocol; `rest` came behind the request.

        uvicorn's for applications is told of the fields that it needs by itself: it takes no long lines.
        """
        if len(self.url) > MAX_APP_TARGET_BYTES:
            raise HTTPException(414, f"The address is longer than {MAX_APP_TARGET_BYTES} bytes.")
        headers = self.scope["headers"]
        check_offers(headers)
        needed = (b"host", b"sec-websocket-protocol", b"sec-websocket-extensions")
        self.scope["headers"] = [
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-key", self.key),
            *(pair for pair in headers if pair[0] in needed),
        ]
        super().handle_websocket_upgrade()
        protocol: Any = self.transport.get_protocol()
        if hasattr(protocol, "scope"):
            protocol.scope["headers"] = headers
        if rest:
            protocol.data_received(rest)

    # -- refusals

    def refuse(self, error: HyphaError | HTTPException) -> None:
        """Answer a request that cannot be read once those before it are answered, and close."""
        if self.transport.is_closing() or self._drops_left is not None:
            return
        self._log(error)
        words = self._answer(error)
        self._drops_left = LINGER_BYTES
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._say_last(words)
            return
        is_its_body = cycle.more_body
        if is_its_body and self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
            is_its_body = False
        if not is_its_body:
            self._last_words = words
            return
        cycle.disconnected = True
        cycle.message_event.set()
        if cycle.response_started:
            self._flush()
            self.transport.close()
        else:
            self._say_last(words)

    def _log(self, error: HyphaError | HTTPException) -> None:
        is_limit = isinstance(error, HTTPException) and error.status_code in (414, 431)
        is_limit = is_limit and self.warnings.is_due(self.loop.time())
        peer = self.client[0] if self.client else "an unknown address"
        text = error.detail if isinstance(error, HTTPException) else error.message
        logger.log(
            logging.WARNING if is_limit else logging.DEBUG, "Refused a request from %s: %s", peer, text
        )

    def _answer(self, error: HyphaError | HTTPException) -> bytes:
        answer = error_answer(error, {"headers": self.headers or [], "method": "", "path": ""})
        fields = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(answer.body)),
            *answer.headers,
        ]
        if not any(name == b"connection" for name, _ in fields):
            fields.append((b"connection", b"close"))
        lines = (b"%b: %b\r\n" % pair for pair in fields)
        return b"".join((STATUS_LINE[answer.status], *lines, b"\r\n", answer.body))

    def on_response_complete(self) -> None:
        """An answer is complete: the next one follows, or the refusal of what came behind it."""
        self._flush()
        if self._last_words is None or self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self._say_last(self._last_words)

    def _say_last(self, words: bytes) -> None:
        """Write an answer and close once the client has had time to read it."""
        self._flush()
        self.transport.write(words)
        self.flow.resume_reading()
        self._linger_timer = self.loop.call_later(LINGER_S, self.transport.close)
        try:
            self.transport.write_eof()
        except (OSError, RuntimeError):  # the client is gone already, or this is TLS
            self.transport.close()

    def _drop(self, size: int) -> None:
        assert self._drops_left is not None
        self._drops_left -= size
        if self._drops_left < 0:
            self.transport.close()

    # -- answers

    def _flush(self) -> None:
        if self._answers is not None:
            self._answers.flush()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        answers = self._answers
        if answers is None:
            answers = self._answers = OneWrite(self.transport, self.loop)
        cycle.transport = answers
        cycle.__class__ = PlainCycle
        if cycle.scope["http_version"] == "1.0":
            cycle.chunked_encoding, cycle.expected_content_length = False, _UntilClose()
        elif cycle.scope["method"] == "GET" and self.scheme != "https":
            cycle.scope[FILE_SENDER] = partial(send_file, self, cycle)
        super()._start_asgi_task(cycle, app)

    def finish_answers(self) -> bool:
        """The client has said all: True if it still waits for answers, after which the connection ends.

        A client that left looks the same until something is written. So the system is told to ask: it learns
        within a minute or so that no one is there.
        """
        cycle = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body or _asks_for_events(cycle.scope):
            return False
        cycle.keep_alive = False
        with contextlib.suppress(OSError, AttributeError):  # not TCP, or not of this system
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PROBE_AFTER_S)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_AFTER_S)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        super().connection_lost(exc)


def _fault_of(error: httptools.HttpParserError, data: bytes) -> HyphaError | HTTPException:
    """What is wrong with a request that the parser doesn't take."""
    if str(error) == "Invalid HTTP version":
        return HTTPException(505, "The versions of HTTP spoken here are 1.1 and 1.0.")
    method = _METHOD.match(data)
    is_unknown = method is not None and method[1].decode() not in METHODS
    if isinstance(error, httptools.HttpParserInvalidMethodError) and is_unknown:
        return HTTPException(501, "The method of the request is not known here.")
    return _UNREADABLE


def _asks_for_events(scope: Any) -> bool:
    """True for an answer without end, which a client that has hung up does not read."""
    return any(name == b"accept" and b"text/event-stream" in value for name, value in scope["headers"])
