"""Requests to a server: kept connections, a token, and patience with what passes by itself."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit

from hypha.cli.artifact.faults import ServerFault, Stopped, Unreachable, UsageFault

TIMEOUT_S = 60.0
LONG_TIMEOUT_S = 3600.0
"""For calls during which the server reads or moves many files."""
PASSING = frozenset({429, 502, 503, 504})
"""Answers that are different a little later."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 8.0
MAX_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_ANSWER_BYTES = 256 * 1024 * 1024
MAX_SENTENCE_CHARS = 1000
SERVICE = "/public/services/artifact-manager/"
_ERROR_BYTES = 65_536

Headers = Mapping[str, str]
MakeBody = Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, headers with small letters, and the body, which is read once."""

    status: int
    headers: Headers
    _response: http.client.HTTPResponse
    _connection: http.client.HTTPConnection

    def chunks(self, size: int = 1024 * 1024) -> Iterator[bytes]:
        """The body in pieces.

        Raises:
            OSError, HTTPException: it broke off.
        """
        try:
            while piece := self._response.read(size):
                yield piece
        finally:
            self.end()

    def beginning(self, most_bytes: int) -> bytes:
        """So much of the body; the rest is of no use.

        Raises:
            OSError, HTTPException: it broke off.
        """
        try:
            return self._response.read(most_bytes)
        finally:
            self.end()

    def end(self) -> None:
        """Leave nothing on the connection that the next request would take for its answer."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            self._response.read(_ERROR_BYTES)  # if that is all, the connection stays
        if not self._response.isclosed():
            self._connection.close()


@dataclass(frozen=True, slots=True)
class Upload:
    """A body that can be sent again: its length, and a function that makes it anew."""

    size: int
    make: MakeBody


class HyphaServer:
    """One server as one person sees it. Every thread has connections of its own.

    Args:
        url: its address, with or without a path. token: None for what is open to everybody.
        patience_s: how long a server that doesn't answer is asked again.
    """

    def __init__(self, url: str, token: str | None, patience_s: float = 60.0) -> None:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageFault(f"{url!r} is no address of a server, such as https://hypha.example.org.")
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._host = (parts.scheme, parts.netloc)
        self._token = token
        self._patience_s = patience_s
        self._threads = threading.local()
        self.stopped = threading.Event()
        """Set when the command is interrupted."""

    def call(self, function: str, *, is_long: bool = False, **arguments: Any) -> Any:
        """Call a function of the artifact manager.

        Raises:
            ServerFault: it refused. Unreachable.
        """
        body = json.dumps({key: value for key, value in arguments.items() if value is not None}).encode()
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        upload = Upload(len(body), lambda: iter((body,)))
        timeout_s = LONG_TIMEOUT_S if is_long else TIMEOUT_S
        return self.value_of(
            self.request("POST", f"{self.url}{SERVICE}{function}", headers, upload, timeout_s)
        )

    def value_of(self, answer: Answer) -> Any:
        """The JSON of an answer.

        Raises:
            ServerFault: it is none. Unreachable: it breaks off.
        """
        try:
            text = answer.beginning(MAX_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self.url} broke off: {_sentence(error)}") from None
        try:
            return json.loads(text) if text else None
        except ValueError:
            raise self.nonsense() from None

    def nonsense(self) -> ServerFault:
        """What is said of an answer that makes no sense."""
        return ServerFault(f"{self.url} answers, but not as a Hypha server does.", 200)

    def address(self, path: str, **query: object) -> str:
        """An address of the server; `path` is quoted already."""
        told = {key: str(value) for key, value in query.items() if value is not None}
        return f"{self.url}{path}" + (f"?{urlencode(told)}" if told else "")

    def request(
        self,
        method: str,
        url: str,
        headers: Headers | None = None,
        upload: Upload | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Answer:
        """Send a request until it is answered with more than "later"; its answer is a success.

        Raises:
            ServerFault: the server refuses. Unreachable: it doesn't answer. Stopped.
        """
        pause_s, until = FIRST_PAUSE_S, time.monotonic() + self._patience_s
        while True:
            if self.stopped.is_set():
                raise Stopped
            told = ""
            try:
                answer = self._followed(method, url, dict(headers or {}), upload, timeout_s)
                if 200 <= answer.status < 300:
                    return answer
                fault = _refusal(answer)
                if answer.status not in PASSING:
                    raise fault
                told = str(fault)
                pause_s = max(pause_s, _asked_pause(answer))
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                told = _sentence(error)
            if time.monotonic() + pause_s > until:
                raise Unreachable(f"{self.url} does not answer: {told}")
            if self.stopped.wait(pause_s):
                raise Stopped
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _followed(
        self, method: str, url: str, headers: dict[str, str], upload: Upload | None, timeout_s: float
    ) -> Answer:
        for _ in range(1 + MAX_REDIRECTS):
            answer = self._once(method, urlsplit(url), headers, upload, timeout_s)
            if answer.status not in REDIRECTS or "location" not in answer.headers:
                return answer
            answer.beginning(_ERROR_BYTES)
            url = _led_to(url, answer)
            if answer.status == 303:
                method, upload = "GET", None
        raise ServerFault(f"{self.url} leads from one address to the next and nowhere.", answer.status)

    def _once(
        self, method: str, url: SplitResult, headers: dict[str, str], upload: Upload | None, timeout_s: float
    ) -> Answer:
        connection = self._connection(url, timeout_s)
        headers = {"User-Agent": "hypha-artifact-command", **headers}
        if self._token and (url.scheme, url.netloc) == self._host and "X-Hypha-Signature" not in url.query:
            headers["Authorization"] = f"Bearer {self._token}"
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        if upload is not None:
            headers["Content-Length"] = str(upload.size)
        try:
            connection.request(method, target, upload.make() if upload is not None else None, headers)
        except (BrokenPipeError, ConnectionResetError):
            if upload is None:
                raise  # else the server may have refused what it saw of it, and said so
        response = connection.getresponse()
        told = {key.lower(): value for key, value in response.getheaders()}
        return Answer(response.status, told, response, connection)

    # -- connections

    def _connection(self, url: SplitResult, timeout_s: float) -> http.client.HTTPConnection:
        kept: _Kept = self._kept()
        key = (url.scheme, url.netloc)
        connection = kept.connections.get(key)
        if connection is None:
            host, port = url.hostname or "", url.port
            if url.scheme == "https":
                context = ssl.create_default_context()
                connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
            else:
                connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
            kept.connections[key] = connection
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        return connection

    def _kept(self) -> _Kept:
        try:
            kept: _Kept = self._threads.kept
        except AttributeError:
            kept = self._threads.kept = _Kept()
        return kept

    def _drop(self) -> None:
        """Close what this thread has open: it may be in any state."""
        for connection in self._kept().connections.values():
            connection.close()


@dataclass(slots=True)
class _Kept:
    """Open connections of one thread, by scheme and host."""

    connections: dict[tuple[str, str], http.client.HTTPConnection] = field(default_factory=dict)


def _led_to(url: str, answer: Answer) -> str:
    """Where an answer leads.

    Raises:
        ServerFault: to something that is no such address, or where everybody on the way can read along.
    """
    target = urljoin(url, answer.headers["location"])
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ServerFault("The server leads to what is no address.", answer.status)
    if parts.scheme == "http" and urlsplit(url).scheme == "https":
        raise ServerFault("The server leads from https to http: it is not followed there.", answer.status)
    return target


def _refusal(answer: Answer) -> ServerFault:
    text = answer.beginning(_ERROR_BYTES)
    try:
        detail = json.loads(text)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = f"the server answered with the status {answer.status}"
    sentence = str(detail)[:MAX_SENTENCE_CHARS]
    if answer.status == 401:
        sentence = f"The token is not accepted: {sentence}"
    return ServerFault(sentence, answer.status)


def _asked_pause(answer: Answer) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), LONGEST_PAUSE_S) if text.isdigit() else 0.0


def _sentence(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text if len(text) < 300 else text[:300]
